#include "diffusion/model/unet.h"

namespace sfumato {

DownBlock::DownBlock(int64_t in, int64_t out, bool attention, bool downsample, const UNetConfig& config) {
  for (int64_t i = 0; i < config.layers_per_block; ++i) {
    resnets.emplace_back(i == 0 ? in : out, out, config);
    if (attention) {
      attentions.emplace_back(out, config);
    }
  }
  if (downsample) {
    downsamplers.emplace_back(out, config);
  }
}

Variable DownBlock::operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const {
  const ModuleScope at_work(*this);
  for (size_t i = 0; i < resnets.size(); ++i) {
    h = resnets[i](h, emb);
    if (!attentions.empty()) {
      h = attentions[i](h);
    }
    skips.push_back(h);
  }
  for (const Downsample& downsample : downsamplers) {
    h = downsample(h);
    skips.push_back(h);
  }
  return h;
}

MidBlock::MidBlock(int64_t channels, const UNetConfig& config) {
  resnets.emplace_back(channels, channels, config);
  resnets.emplace_back(channels, channels, config);
  attentions.emplace_back(channels, config);
}

Variable MidBlock::operator()(const Variable& h, const Variable& emb) const {
  const ModuleScope at_work(*this);
  return resnets[1](attentions[0](resnets[0](h, emb)), emb);
}

UpBlock::UpBlock(int64_t in,
                 int64_t out,
                 std::vector<int64_t> skip_channels,
                 bool attention,
                 bool upsample,
                 const UNetConfig& config) {
  for (size_t i = 0; i < skip_channels.size(); ++i) {
    resnets.emplace_back((i == 0 ? in : out) + skip_channels[i], out, config);
    if (attention) {
      attentions.emplace_back(out, config);
    }
  }
  if (upsample) {
    upsamplers.emplace_back(out);
  }
}

Variable UpBlock::operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const {
  const ModuleScope at_work(*this);
  for (size_t i = 0; i < resnets.size(); ++i) {
    h = resnets[i](cat({h, skips.back()}, 1), emb);
    skips.pop_back();
    if (!attentions.empty()) {
      h = attentions[i](h);
    }
  }
  for (const UpsampleBlock& upsample : upsamplers) {
    h = upsample(h);
  }
  return h;
}

namespace {

UNetConfig validated(const UNetConfig& config) {
  config.validate();
  return config;
}

}  // namespace

UNet::UNet(const UNetConfig& config)
    : config_(validated(config)),
      conv_in(config.in_channels, config.block_out_channels.front(), 3, {.padding = 1}),
      time_embedding(config.block_out_channels.front(), 4 * config.block_out_channels.front()),
      mid_block(config.block_out_channels.back(), config),
      conv_norm_out(config.norm_num_groups, config.block_out_channels.front(), config.norm_eps),
      conv_out(config.block_out_channels.front(), config.out_channels, 3, {.padding = 1}, /*bias=*/true, Init::zeros) {
  const auto& widths = config.block_out_channels;
  const size_t levels = widths.size();
  std::vector<int64_t> skips{widths[0]};  // as they will be pushed on the way down
  int64_t channels = widths[0];
  for (size_t level = 0; level < levels; ++level) {
    const bool last = level + 1 == levels;
    down_blocks.emplace_back(channels, widths[level], config.attention[level], !last, config);
    channels = widths[level];
    skips.insert(skips.end(), static_cast<size_t>(config.layers_per_block + (last ? 0 : 1)), channels);
  }
  for (size_t level = levels; level-- > 0;) {
    const auto count = static_cast<std::ptrdiff_t>(config.layers_per_block + 1);
    const std::vector<int64_t> taken(skips.rbegin(), skips.rbegin() + count);
    skips.resize(skips.size() - static_cast<size_t>(count));
    up_blocks.emplace_back(channels, widths[level], taken, config.attention[level], level > 0, config);
    channels = widths[level];
  }
}

void UNet::visit(Visitor& v) {
  v("conv_in", conv_in)("time_embedding", time_embedding)("down_blocks", down_blocks)("mid_block", mid_block);
  v("up_blocks", up_blocks)("conv_norm_out", conv_norm_out)("conv_out", conv_out);
}

Variable UNet::operator()(const Variable& x, const Tensor& t) const {
  const ModuleScope at_work(*this);
  check(x.dim() == 4 && x.size(1) == config_.in_channels, "unet: the input must be (N, ", config_.in_channels,
        ", H, W), got ", x.shape());
  const int64_t stride = config_.total_stride();
  check(x.size(2) % stride == 0 && x.size(3) % stride == 0, "unet: height and width must be divisible by ", stride,
        " (", config_.block_out_channels.size(), " levels), got ", x.size(2), " x ", x.size(3));
  check(t.dim() == 1 && t.numel() == x.size(0), "unet: t must be (", x.size(0), "), got ", t.shape());
  const Tensor features =
      timestep_embedding(t, config_.block_out_channels.front(), config_.flip_sin_to_cos, config_.freq_shift, x.dtype());
  const Variable emb = silu(time_embedding(features));
  Variable h = conv_in(x);
  std::vector<Variable> skips{h};
  for (const DownBlock& block : down_blocks) {
    h = block(std::move(h), emb, skips);
  }
  h = mid_block(h, emb);
  for (const UpBlock& block : up_blocks) {
    h = block(std::move(h), emb, skips);
  }
  return conv_out(conv_norm_out.forward_silu(h));
}

}  // namespace sfumato
