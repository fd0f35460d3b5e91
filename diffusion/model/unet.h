// The U-Net of Ho et al. 2020, with diffusers' parameter names and their configuration (UNet2DModel).
//
//   UNet net(UNetConfig{.sample_size = 32, .in_channels = 1, .out_channels = 1, ...});
//   initialize(net, /*seed=*/0);
//   Variable eps = net(x_t, t);          // x_t (N, C, H, W), t (N) in 0..T-1; the result has out_channels channels
//
//   t -> sinusoids -> Linear -> SiLU -> Linear -> SiLU -> emb, read by every residual block R
//
//   x -> conv_in -> [ R R (A) ]---------------- skips ----------------> [ R R R (A) ] -> norm, SiLU, conv_out
//                       | down: stride-2 conv                               ^ up: nearest x2, conv
//                       [ R R (A) ]------------ skips ----------> [ R R R (A) ]
//                           |                                         ^
//                           [ R R (A) ]-------- skips -> [ R R R (A) ]
//                                   \                       /
//                                    mid_block: R  A  R
//
// Attention A follows each residual block of the levels that have it. Every output on the way down (conv_in, each
// R(+A), each stride-2 convolution) is kept and concatenated, last first, to the inputs of the way up.
#pragma once

#include "diffusion/model/network.h"
#include "diffusion/model/time_embedding.h"
#include "diffusion/model/unet_blocks.h"

namespace sfumato {

class DownBlock : public Module {
 public:
  DownBlock(int64_t in, int64_t out, bool attention, bool downsample, const UNetConfig& config);
  // Appends every output to `skips` and returns the last.
  Variable operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const;
  void visit(Visitor& v) override { v("resnets", resnets)("attentions", attentions)("downsamplers", downsamplers); }

  ModuleList<ResnetBlock> resnets;
  ModuleList<AttentionBlock> attentions;
  ModuleList<Downsample> downsamplers;
};

class MidBlock : public Module {
 public:
  MidBlock(int64_t channels, const UNetConfig& config);
  Variable operator()(const Variable& h, const Variable& emb) const;
  void visit(Visitor& v) override { v("attentions", attentions)("resnets", resnets); }

  ModuleList<ResnetBlock> resnets;
  ModuleList<AttentionBlock> attentions;
};

class UpBlock : public Module {
 public:
  // `skip_channels` lists the widths of the skips in the order in which they are taken.
  UpBlock(int64_t in,
          int64_t out,
          std::vector<int64_t> skip_channels,
          bool attention,
          bool upsample,
          const UNetConfig& config);
  // Takes resnets.size() entries from the back of `skips`.
  Variable operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const;
  void visit(Visitor& v) override { v("resnets", resnets)("attentions", attentions)("upsamplers", upsamplers); }

  ModuleList<ResnetBlock> resnets;
  ModuleList<AttentionBlock> attentions;
  ModuleList<UpsampleBlock> upsamplers;
};

class UNet : public DenoisingNetwork {
 public:
  // Throws Error when the configuration is not consistent. Parameters have no values before initialize() or loading.
  explicit UNet(const UNetConfig& config);
  // Throws unless x is (N, in_channels, H, W) with H and W divisible by config().total_stride() and t is (N).
  Variable operator()(const Variable& x, const Tensor& t) const override;
  Shape sample_shape() const override { return {config_.in_channels, config_.sample_size, config_.sample_size}; }
  std::string class_name() const override { return "UNet2DModel"; }
  std::string config_json() const override { return config_.to_json(); }
  void visit(Visitor& v) override;
  const UNetConfig& config() const { return config_; }

 private:
  UNetConfig config_;

 public:
  Conv2d conv_in;
  TimestepEmbedding time_embedding;
  ModuleList<DownBlock> down_blocks;
  MidBlock mid_block;
  ModuleList<UpBlock> up_blocks;
  GroupNorm conv_norm_out;
  Conv2d conv_out;
};

}  // namespace sfumato
