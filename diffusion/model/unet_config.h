// The U-Net's configuration: the fields of diffusers' UNet2DModel, under their names and with their meaning.
//
//   UNetConfig config = UNetConfig::from_json(read_file("unet/config.json"), "unet/config.json");
//   UNet net(config);
//
//   UNetConfig adm{.sample_size = 64, .resnet_time_scale_shift = "scale_shift", .num_class_embeds = 1000};
//   adm.set_levels({false, false, true, true}, Resampling::resnet);          // a network in the manner of ADM
//
// The struct's own defaults are the network of Ho et al. 2020 for CIFAR-10; a field that a file leaves out has
// diffusers' default. What is not built is refused by name, never ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sfumato {

// How a level changes resolution: a convolution (down: of stride 2; up: after doubling the pixels), or a residual block
// that pools or doubles on both of its paths.
enum class Resampling { conv, resnet };

// What a block type says of a level.
struct UNetLevel {
  bool attention = false;
  Resampling resampling = Resampling::conv;
};

struct UNetConfig {
  int64_t sample_size = 32;  // height and width of an image
  int64_t sample_width = 0;  // where it is not the height; written as sample_size = [height, width]
  int64_t in_channels = 3;
  int64_t out_channels = 3;                                     // 2 * in_channels where the variance is learned
  std::vector<int64_t> block_out_channels{128, 256, 256, 256};  // one level of resolution per entry
  // From the finest level to the coarsest: DownBlock2D, AttnDownBlock2D or ResnetDownsampleBlock2D.
  std::vector<std::string> down_block_types{"DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"};
  // From the coarsest level to the finest: UpBlock2D, AttnUpBlock2D or ResnetUpsampleBlock2D.
  std::vector<std::string> up_block_types{"UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"};
  int64_t layers_per_block = 2;                    // residual blocks on the way down; one more on the way up
  std::optional<int64_t> attention_head_dim = {};  // channels per head; none means one head
  int64_t norm_num_groups = 32;
  double norm_eps = 1e-6;
  double dropout = 0;
  // Time features. positional: [sin | cos] at frequencies exp(-ln(10^4) i / (half - freq_shift)). fourier: [sin | cos]
  // of 2 pi w ln t with random w of scale 16, and the network's output is divided by t (Song et al. 2021).
  std::string time_embedding_type = "positional";
  bool flip_sin_to_cos = false;  // [cos | sin] instead, if positional
  double freq_shift = 1;
  std::optional<int64_t> time_embedding_dim = {};   // none: 4 * block_out_channels[0]
  std::string resnet_time_scale_shift = "default";  // adds the time features; "scale_shift": adaptive group norm
  // What is added to the time features for a label. none: a learned row for each of num_class_embeds, if there is one;
  // "timestep": the label goes the way of t; "identity": it is a vector of that width itself.
  std::optional<std::string> class_embed_type = {};
  std::optional<int64_t> num_class_embeds = {};
  std::string downsample_type = "conv";  // "resnet": of AttnDownBlock2D
  std::string upsample_type = "conv";    // "resnet": of AttnUpBlock2D
  int64_t downsample_padding = 0;        // 0: one row below and one column to the right, as Ho et al.; 1: all around
  std::string act_fn = "silu";           // "diffusion/model/activation.h"
  std::optional<std::string> mid_block_type = "UNetMidBlock2D";  // none: no middle
  double mid_block_scale_factor = 1;                             // divides what its blocks put out
  bool add_attention = true;                                     // in the middle
  std::optional<int64_t> attn_norm_num_groups =
      {};                            // of that attention; none: norm_num_groups, or no norm with scale_shift
  bool center_input_sample = false;  // the network sees 2 x - 1
  std::optional<int64_t> num_train_timesteps = {};  // recorded only: it decides nothing in what is built
  // How it is trained and not what it is, so no field of config.json: blocks keep their inputs alone for the backward
  // pass and are computed again there. Same bits, less memory, about a third more time.
  bool gradient_checkpointing = false;

  // Sets the block types, finest level first, and how they change resolution.
  void set_levels(const std::vector<bool>& attention, Resampling resampling = Resampling::conv);

  // Throws Error naming the first rule that the fields break (channels divisible by groups, level counts, ...).
  void validate() const;
  int64_t height() const { return sample_size; }
  int64_t width() const { return sample_width > 0 ? sample_width : sample_size; }
  size_t levels() const { return block_out_channels.size(); }
  // How often an image's sides are halved; they must be divisible by this.
  int64_t total_stride() const { return int64_t{1} << (levels() - 1); }
  // Level i on the way down (0 the finest) and block i on the way up (0 the coarsest). Throw for unknown types.
  UNetLevel down_level(size_t i) const;
  UNetLevel up_level(size_t i) const;
  bool scale_shift() const { return resnet_time_scale_shift == "scale_shift"; }
  bool fourier() const { return time_embedding_type == "fourier"; }
  // Widths of the time features before and after their two linear layers.
  int64_t time_features() const { return (fourier() ? 2 : 1) * block_out_channels[0]; }
  int64_t time_width() const { return time_embedding_dim.value_or(4 * block_out_channels[0]); }
  // The rows of a learned class embedding; 0 when there is none.
  int64_t num_classes() const { return class_embed_type ? 0 : num_class_embeds.value_or(0); }

  // diffusers' config.json: exactly the fields that it writes, sorted, two spaces. `source` names it in errors.
  std::string to_json() const;
  static UNetConfig from_json(std::string_view text, std::string_view source);
};

}  // namespace sfumato
