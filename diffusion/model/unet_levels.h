// The levels of the U-Net: what happens at one resolution on the way down, in the middle, and on the way up.
//
//   DownBlock level(64, 128, {.attention = true}, /*downsample=*/true, config);
//   h = level(std::move(h), emb, skips);                         // (N, 64, H, W) -> (N, 128, H / 2, W / 2)
//
// One class stands for diffusers' block types: plain, with attention, and with residual blocks that resample.
//
// With config.gradient_checkpointing each residual block, together with the attention behind it and the concatenation
// before it, keeps its inputs alone for the backward pass and is computed again there (autograd/checkpoint.h).
#pragma once

#include <vector>

#include "diffusion/model/attention_block.h"
#include "diffusion/model/resnet_block.h"

namespace sfumato {

// A 3x3 convolution of stride 2: (N, C, H, W) -> (N, C, H/2, W/2).
class Downsample : public Module {
 public:
  Downsample(int64_t channels, const UNetConfig& config);
  Variable operator()(const Variable& x) const { return conv(x); }
  void visit(Visitor& v) override { v("conv", conv); }

  Conv2d conv;
};

// Nearest-neighbour doubling, then a 3x3 convolution: (N, C, H, W) -> (N, C, 2H, 2W).
class UpsampleBlock : public Module {
 public:
  explicit UpsampleBlock(int64_t channels);
  Variable operator()(const Variable& x) const { return conv(upsample_nearest2d(x, 2)); }
  void visit(Visitor& v) override { v("conv", conv); }

  Conv2d conv;
};

class DownBlock : public Module {
 public:
  DownBlock(int64_t in, int64_t out, const UNetLevel& level, bool downsample, const UNetConfig& config);
  // Appends every output to `skips` and returns the last.
  Variable operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const;
  void visit(Visitor& v) override;

  ModuleList<ResnetBlock> resnets;
  ModuleList<AttentionBlock> attentions;
  // "downsamplers.0" is one of these, or neither at the coarsest level.
  ModuleList<Downsample> downsamplers;
  ModuleList<ResnetBlock> resnet_downsamplers;

 private:
  bool checkpointing_;
};

class MidBlock : public Module {
 public:
  MidBlock(int64_t channels, const UNetConfig& config);
  Variable operator()(const Variable& h, const Variable& emb) const;
  void visit(Visitor& v) override { v("attentions", attentions)("resnets", resnets); }

  ModuleList<ResnetBlock> resnets;
  ModuleList<AttentionBlock> attentions;  // one, or none

 private:
  bool checkpointing_;
};

class UpBlock : public Module {
 public:
  // `skip_channels` lists the widths of the skips in the order in which they are taken.
  UpBlock(int64_t in,
          int64_t out,
          const std::vector<int64_t>& skip_channels,
          const UNetLevel& level,
          bool upsample,
          const UNetConfig& config);
  // Takes resnets.size() entries from the back of `skips`.
  Variable operator()(Variable h, const Variable& emb, std::vector<Variable>& skips) const;
  void visit(Visitor& v) override;

  ModuleList<ResnetBlock> resnets;
  ModuleList<AttentionBlock> attentions;
  // "upsamplers.0" is one of these, or neither at the finest level.
  ModuleList<UpsampleBlock> upsamplers;
  ModuleList<ResnetBlock> resnet_upsamplers;

 private:
  bool checkpointing_;
};

}  // namespace sfumato
