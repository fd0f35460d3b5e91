// Levels of the U-Net: their parts by block type, and the order in which they run.
#include "diffusion/model/unet_levels.h"

#include <utility>

#include "autograd/checkpoint.h"

namespace sfumato {
namespace {

// Padding 0 in diffusers' configuration means one row below and one column to the right (as TensorFlow's "same").
Conv2dOptions downsample_options(const UNetConfig& config) {
  return {.stride = 2, .padding = config.downsample_padding, .padding_end = 1};
}

// The groups of the norm before the attention in the middle; none where diffusers has no norm there.
std::optional<int64_t> mid_attention_groups(const UNetConfig& config) {
  if (config.attn_norm_num_groups || config.scale_shift()) {
    return config.attn_norm_num_groups;
  }
  return config.norm_num_groups;
}

// f(inputs), which with checkpointing runs once more in the backward pass.
template <class F>
Variable run(bool checkpointing, std::initializer_list<Variable> inputs, F f) {
  return checkpointing ? checkpoint(std::move(f), inputs) : f(std::span(inputs.begin(), inputs.size()));
}

}  // namespace

Downsample::Downsample(int64_t channels, const UNetConfig& config)
    : conv(channels, channels, 3, downsample_options(config)) {}

UpsampleBlock::UpsampleBlock(int64_t channels) : conv(channels, channels, 3, {.padding = 1}) {}

DownBlock::DownBlock(int64_t in, int64_t out, const UNetLevel& level, bool downsample, const UNetConfig& config)
    : checkpointing_(config.gradient_checkpointing) {
  for (int64_t i = 0; i < config.layers_per_block; ++i) {
    resnets.emplace_back(i == 0 ? in : out, out, config);
    if (level.attention) {
      attentions.emplace_back(out, config);
    }
  }
  if (downsample && level.resampling == Resampling::conv) {
    downsamplers.emplace_back(out, config);
  } else if (downsample) {
    resnet_downsamplers.emplace_back(out, out, config, ResnetBlock::Resample::down);
  }
}

void DownBlock::visit(Visitor& v) {
  v("resnets", resnets)("attentions", attentions)("downsamplers", downsamplers)("downsamplers", resnet_downsamplers);
}

Variable DownBlock::operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const {
  const ModuleScope at_work(*this);
  for (size_t i = 0; i < resnets.size(); ++i) {
    h = run(checkpointing_, {h, emb}, [this, i](std::span<const Variable> in) {
      const Variable out = resnets[i](in[0], in[1]);
      return attentions.empty() ? out : attentions[i](out);
    });
    skips.push_back(h);
  }
  for (const Downsample& downsample : downsamplers) {
    h = downsample(h);
    skips.push_back(h);
  }
  for (const ResnetBlock& downsample : resnet_downsamplers) {
    h = run(checkpointing_, {h, emb}, [&downsample](std::span<const Variable> in) { return downsample(in[0], in[1]); });
    skips.push_back(h);
  }
  return h;
}

MidBlock::MidBlock(int64_t channels, const UNetConfig& config) : checkpointing_(config.gradient_checkpointing) {
  const double scale = config.mid_block_scale_factor;
  resnets.emplace_back(channels, channels, config, ResnetBlock::Resample::none, scale);
  resnets.emplace_back(channels, channels, config, ResnetBlock::Resample::none, scale);
  if (config.add_attention) {
    attentions.emplace_back(channels, config, mid_attention_groups(config), scale);
  }
}

Variable MidBlock::operator()(const Variable& h, const Variable& emb) const {
  const ModuleScope at_work(*this);
  const Variable middle = run(checkpointing_, {h, emb}, [this](std::span<const Variable> in) {
    const Variable out = resnets[0](in[0], in[1]);
    return attentions.empty() ? out : attentions[0](out);
  });
  return run(checkpointing_, {middle, emb}, [this](std::span<const Variable> in) { return resnets[1](in[0], in[1]); });
}

UpBlock::UpBlock(int64_t in,
                 int64_t out,
                 const std::vector<int64_t>& skip_channels,
                 const UNetLevel& level,
                 bool upsample,
                 const UNetConfig& config)
    : checkpointing_(config.gradient_checkpointing) {
  for (size_t i = 0; i < skip_channels.size(); ++i) {
    resnets.emplace_back((i == 0 ? in : out) + skip_channels[i], out, config);
    if (level.attention) {
      attentions.emplace_back(out, config);
    }
  }
  if (upsample && level.resampling == Resampling::conv) {
    upsamplers.emplace_back(out);
  } else if (upsample) {
    resnet_upsamplers.emplace_back(out, out, config, ResnetBlock::Resample::up);
  }
}

void UpBlock::visit(Visitor& v) {
  v("resnets", resnets)("attentions", attentions)("upsamplers", upsamplers)("upsamplers", resnet_upsamplers);
}

Variable UpBlock::operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const {
  const ModuleScope at_work(*this);
  for (size_t i = 0; i < resnets.size(); ++i) {
    h = run(checkpointing_, {h, skips.back(), emb}, [this, i](std::span<const Variable> in) {
      const Variable out = resnets[i](cat({in[0], in[1]}, 1), in[2]);
      return attentions.empty() ? out : attentions[i](out);
    });
    skips.pop_back();
  }
  for (const UpsampleBlock& upsample : upsamplers) {
    h = upsample(h);
  }
  for (const ResnetBlock& upsample : resnet_upsamplers) {
    h = run(checkpointing_, {h, emb}, [&upsample](std::span<const Variable> in) { return upsample(in[0], in[1]); });
  }
  return h;
}

}  // namespace sfumato
