// Self-attention on channels-first images.
#include "diffusion/model/attention_block.h"

namespace sfumato {
namespace {

// A linear layer on the channels of (N, C, H, W): a 1x1 convolution with the same weights.
Variable on_channels(const Linear& layer, const Variable& x) {
  const ModuleScope at_work(layer);
  const Variable& weight = layer.weight;
  return conv2d(x, reshape(weight, {weight.size(0), weight.size(1), 1, 1}), layer.bias);
}

}  // namespace

AttentionBlock::AttentionBlock(int64_t channels,
                               const UNetConfig& config,
                               std::optional<int64_t> norm_groups,
                               double scale)
    : to_q(channels, channels),
      to_k(channels, channels),
      to_v(channels, channels),
      heads_(channels / config.attention_head_dim.value_or(channels)),
      scale_(scale) {
  if (norm_groups) {
    group_norm.emplace(*norm_groups, channels, config.norm_eps);
  }
  to_out.emplace_back(channels, channels, /*bias=*/true, Init::zeros);
}

Variable AttentionBlock::operator()(const Variable& x) const {
  const ModuleScope at_work(*this);
  const Variable h = group_norm ? (*group_norm)(x) : x;
  const Shape tokens{x.size(0), x.size(1), x.size(2) * x.size(3)};
  const Variable mixed =
      attention_channels_first(reshape(on_channels(to_q, h), tokens), reshape(on_channels(to_k, h), tokens),
                               reshape(on_channels(to_v, h), tokens), heads_);
  const Variable sum = x + on_channels(to_out[0], reshape(mixed, x.shape()));
  return scale_ == 1 ? sum : sum / scale_;
}

}  // namespace sfumato
