// The U-Net's configuration: the fields of diffusers' UNet2DModel, under their names.
//
//   UNetConfig config = UNetConfig::from_json(read_file("unet/config.json"), "unet/config.json");
//   UNet net(config);
//
// A field that would change the network in a way that we do not build yet is refused by name, never ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sfumato {

struct UNetConfig {
  int64_t sample_size = 32;
  int64_t in_channels = 3;
  int64_t out_channels = 3;
  std::vector<int64_t> block_out_channels{128, 256, 256, 256};  // one level of resolution per entry
  std::vector<bool> attention{false, true, false, false};       // per level, coarser to the right
  int64_t layers_per_block = 2;               // residual blocks on the way down; one more on the way up
  std::optional<int64_t> attention_head_dim;  // channels per head; none means one head
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-6;
  double dropout = 0;
  bool flip_sin_to_cos = false;    // time features [cos | sin] instead of [sin | cos]
  double freq_shift = 1;           // frequencies exp(-ln(10^4) i / (half - freq_shift))
  int64_t downsample_padding = 0;  // 0: one row below and one column to the right, as Ho et al.; 1: all around

  // Throws Error listing the first rule that the fields break (channels divisible by groups, level counts, ...).
  void validate() const;
  // How often an image's sides are halved; they must be divisible by this.
  int64_t total_stride() const { return int64_t{1} << (block_out_channels.size() - 1); }

  // diffusers' config.json: exactly the fields that it writes, sorted, two spaces. `source` names it in errors.
  std::string to_json() const;
  static UNetConfig from_json(std::string_view text, std::string_view source);
};

}  // namespace sfumato
