#include "diffusion/model/unet_blocks.h"

namespace sfumato {

ResnetBlock::ResnetBlock(int64_t in, int64_t out, const UNetConfig& config)
    : norm1(config.norm_num_groups, in, config.norm_eps),
      conv1(in, out, 3, {.padding = 1}),
      time_emb_proj(4 * config.block_out_channels[0], out),
      norm2(config.norm_num_groups, out, config.norm_eps),
      dropout(config.dropout),
      conv2(out, out, 3, {.padding = 1}, /*bias=*/true, Init::zeros) {
  if (in != out) {
    conv_shortcut.emplace(in, out, 1);
  }
}

Variable ResnetBlock::operator()(const Variable& x, const Variable& emb) const {
  const ModuleScope at_work(*this);
  Variable h = conv1(norm1.forward_silu(x));
  h = h + reshape(time_emb_proj(emb), {h.size(0), h.size(1), 1, 1});
  h = conv2(dropout(norm2.forward_silu(h)));
  return (conv_shortcut ? (*conv_shortcut)(x) : x) + h;
}

AttentionBlock::AttentionBlock(int64_t channels, const UNetConfig& config)
    : group_norm(config.norm_num_groups, channels, config.norm_eps),
      to_q(channels, channels),
      to_k(channels, channels),
      to_v(channels, channels),
      heads_(channels / config.attention_head_dim.value_or(channels)) {
  to_out.emplace_back(channels, channels, /*bias=*/true, Init::zeros);
}

namespace {

// A linear layer on the channels of (N, C, H, W): a 1x1 convolution with the same weights.
Variable on_channels(const Linear& layer, const Variable& x) {
  const ModuleScope at_work(layer);
  const Variable& weight = layer.weight;
  return conv2d(x, reshape(weight, {weight.size(0), weight.size(1), 1, 1}), layer.bias);
}

}  // namespace

Variable AttentionBlock::operator()(const Variable& x) const {
  const ModuleScope at_work(*this);
  const Variable h = group_norm(x);
  const Shape tokens{x.size(0), x.size(1), x.size(2) * x.size(3)};
  const Variable mixed =
      attention_channels_first(reshape(on_channels(to_q, h), tokens), reshape(on_channels(to_k, h), tokens),
                               reshape(on_channels(to_v, h), tokens), heads_);
  return x + on_channels(to_out[0], reshape(mixed, x.shape()));
}

namespace {

// Padding 0 in diffusers' configuration means one row below and one column to the right (as TensorFlow's "same").
Conv2dOptions downsample_options(const UNetConfig& config) {
  return {.stride = 2, .padding = config.downsample_padding, .padding_end = 1};
}

}  // namespace

Downsample::Downsample(int64_t channels, const UNetConfig& config)
    : conv(channels, channels, 3, downsample_options(config)) {}

UpsampleBlock::UpsampleBlock(int64_t channels) : conv(channels, channels, 3, {.padding = 1}) {}

}  // namespace sfumato
