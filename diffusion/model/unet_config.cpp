// What a U-Net's configuration means, and the rules that it must keep.
#include "diffusion/model/unet_config.h"

#include <array>
#include <cmath>

#include "diffusion/model/activation.h"
#include "tensor/check.h"

namespace sfumato {
namespace {

// Far beyond what is built, and small enough that the sizes of tensors can be computed without overflow.
constexpr int64_t kMostChannels = 65536;
constexpr int64_t kMostLayers = 64;
constexpr int64_t kMostPixels = 16384;
constexpr int64_t kMostClasses = 1 << 24;

void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
  check(value >= low && value <= high, "unet: ", name, " must be in ", low, "..", high, ", got ", value);
}

void check_one_of(const char* name, const std::string& value, const std::string& a, const std::string& b) {
  check(value == a || value == b, "unet: ", name, " '", value, "' is not supported (", a, " and ", b, " are)");
}

Resampling parse_resampling(const char* name, const std::string& value) {
  check_one_of(name, value, "conv", "resnet");
  return value == "resnet" ? Resampling::resnet : Resampling::conv;
}

// `names`: the plain type, the one with attention, and the one whose residual blocks resample. The second does as
// `resampling` says; the others have it in their names.
UNetLevel level_of(const char* list,
                   const std::string& type,
                   const std::array<const char*, 3>& names,
                   Resampling resampling) {
  if (type == names[0]) return {false, Resampling::conv};
  if (type == names[1]) return {true, resampling};
  if (type == names[2]) return {false, Resampling::resnet};
  detail::fail("unet: block type '", type, "' in ", list, " is not supported (", names[0], ", ", names[1], " and ",
               names[2], " are)");
}

constexpr std::array kDown{"DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"};
constexpr std::array kUp{"UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"};

void check_heads(const UNetConfig& config, int64_t channels) {
  if (config.attention_head_dim) {
    const int64_t width = *config.attention_head_dim;
    check(width >= 1 && channels % width == 0, "unet: width ", channels,
          " is not divisible by attention_head_dim = ", width);
  }
}

void check_levels(const UNetConfig& config) {
  const size_t levels = config.levels();
  check(levels >= 1 && levels <= 16, "unet: block_out_channels must have 1 to 16 entries, got ", levels);
  check(config.down_block_types.size() == levels && config.up_block_types.size() == levels, "unet: ", levels,
        " entries in block_out_channels but ", config.down_block_types.size(), " down_block_types and ",
        config.up_block_types.size(), " up_block_types");
  for (size_t i = 0; i < levels; ++i) {
    const int64_t channels = config.block_out_channels[i];
    check_range("an entry of block_out_channels", channels, 2, kMostChannels);
    check(channels % config.norm_num_groups == 0, "unet: width ", channels,
          " in block_out_channels must be a positive multiple of norm_num_groups = ", config.norm_num_groups);
    if (config.down_level(i).attention || config.up_level(levels - 1 - i).attention) {
      check_heads(config, channels);
    }
  }
  const int64_t stride = config.total_stride();
  check(config.height() % stride == 0 && config.width() % stride == 0, "unet: sample_size ", config.height(),
        config.sample_width > 0 ? detail::join_parts(" x ", config.width()) : "", " is not divisible by ", stride,
        ", the stride of ", levels, " levels");
}

void check_features(const UNetConfig& config) {
  const int64_t width = config.block_out_channels[0];
  check_one_of("time_embedding_type", config.time_embedding_type, "positional", "fourier");
  if (!config.fourier()) {
    check(width % 2 == 0, "unet: the first width must be even for the time features, got ", width);
    check(std::isfinite(config.freq_shift) && config.freq_shift < static_cast<double>(width) / 2,
          "unet: freq_shift must be less than half of the first width, got ", config.freq_shift);
  }
  check_one_of("resnet_time_scale_shift", config.resnet_time_scale_shift, "default", "scale_shift");
  if (config.time_embedding_dim) check_range("time_embedding_dim", *config.time_embedding_dim, 1, kMostChannels);
  if (config.class_embed_type) check_one_of("class_embed_type", *config.class_embed_type, "timestep", "identity");
  if (config.num_class_embeds) check_range("num_class_embeds", *config.num_class_embeds, 1, kMostClasses);
}

void check_middle(const UNetConfig& config) {
  const double factor = config.mid_block_scale_factor;
  check(std::isfinite(factor) && factor != 0, "unet: mid_block_scale_factor must be finite and not 0, got ", factor);
  if (!config.mid_block_type) return;
  check(*config.mid_block_type == "UNetMidBlock2D", "unet: mid_block_type '", *config.mid_block_type,
        "' is not supported (UNetMidBlock2D and null are)");
  if (!config.add_attention) return;
  const int64_t channels = config.block_out_channels.back();
  check_heads(config, channels);
  if (config.attn_norm_num_groups) {
    const int64_t groups = *config.attn_norm_num_groups;
    check(groups >= 1 && channels % groups == 0, "unet: the last width ", channels,
          " must be a multiple of attn_norm_num_groups = ", groups);
  }
}

}  // namespace

void UNetConfig::set_levels(const std::vector<bool>& attention, Resampling resampling) {
  const bool resnet = resampling == Resampling::resnet;
  down_block_types.clear();
  up_block_types.clear();
  for (size_t i = 0; i < attention.size(); ++i) {
    down_block_types.emplace_back(kDown[attention[i] ? 1 : resnet ? 2 : 0]);
    up_block_types.emplace_back(kUp[attention[attention.size() - 1 - i] ? 1 : resnet ? 2 : 0]);
  }
  downsample_type = upsample_type = resnet ? "resnet" : "conv";
}

UNetLevel UNetConfig::down_level(size_t i) const {
  return level_of("down_block_types", down_block_types.at(i), kDown,
                  parse_resampling("downsample_type", downsample_type));
}

UNetLevel UNetConfig::up_level(size_t i) const {
  return level_of("up_block_types", up_block_types.at(i), kUp, parse_resampling("upsample_type", upsample_type));
}

void UNetConfig::validate() const {
  check_range("in_channels", in_channels, 1, kMostChannels);
  check_range("out_channels", out_channels, 1, kMostChannels);
  check_range("layers_per_block", layers_per_block, 1, kMostLayers);
  check_range("norm_num_groups", norm_num_groups, 1, kMostChannels);
  check_range("sample_size", sample_size, 1, kMostPixels);
  check_range("the width in sample_size", sample_width, 0, kMostPixels);
  check(std::isfinite(norm_eps) && norm_eps > 0, "unet: norm_eps must be positive and finite, got ", norm_eps);
  check(dropout >= 0 && dropout < 1, "unet: dropout must be in [0, 1), got ", dropout);
  check(downsample_padding == 0 || downsample_padding == 1, "unet: downsample_padding must be 0 or 1, got ",
        downsample_padding);
  parse_activation(act_fn);
  check_levels(*this);
  check_features(*this);
  check_middle(*this);
}

}  // namespace sfumato
