// The residual block, in the order of operations that weights of others expect.
#include "diffusion/model/resnet_block.h"

namespace sfumato {

ResnetBlock::ResnetBlock(int64_t in, int64_t out, const UNetConfig& config, Resample resample, double scale)
    : norm1(config.norm_num_groups, in, config.norm_eps),
      conv1(in, out, 3, {.padding = 1}),
      time_emb_proj(config.time_width(), config.scale_shift() ? 2 * out : out),
      norm2(config.norm_num_groups, out, config.norm_eps),
      dropout(config.dropout),
      conv2(out, out, 3, {.padding = 1}, /*bias=*/true, Init::zeros),
      act_(parse_activation(config.act_fn)),
      scale_shift_(config.scale_shift()),
      resample_(resample),
      scale_(scale) {
  if (in != out) {
    conv_shortcut.emplace(in, out, 1);
  }
}

Variable ResnetBlock::resampled(const Variable& x) const {
  switch (resample_) {
    case Resample::none: return x;
    case Resample::down: return avg_pool2d(x, 2, 2);
    case Resample::up: return upsample_nearest2d(x, 2);
  }
  detail::fail_internal("ResnetBlock: unknown resampling");
}

Variable ResnetBlock::second_norm(Variable h, const Variable& emb) const {
  const Variable features = time_emb_proj(emb);
  const int64_t channels = h.size(1);
  const Shape per_channel{h.size(0), channels, 1, 1};
  if (!scale_shift_) {
    h = h + reshape(features, per_channel);
    return normalized(norm2, h, act_);
  }
  const Variable scale = reshape(narrow(features, 1, 0, channels), per_channel);
  const Variable shift = reshape(narrow(features, 1, channels, channels), per_channel);
  h = norm2(h) * (scale + 1.0);
  return activate(act_, h + shift);
}

Variable ResnetBlock::operator()(const Variable& x, const Variable& emb) const {
  const ModuleScope at_work(*this);
  Variable h = conv1(resampled(normalized(norm1, x, act_)));
  h = conv2(dropout(second_norm(std::move(h), emb)));
  const Variable kept = resampled(x);
  h = (conv_shortcut ? (*conv_shortcut)(kept) : kept) + h;
  return scale_ == 1 ? h : h / scale_;
}

}  // namespace sfumato
