// The parts of the U-Net: residual block, self-attention, and the two changes of resolution. Names and order of
// operations are those of diffusers' UNet2DModel, so that weights interchange.
#pragma once

#include <optional>

#include "diffusion/model/unet_config.h"
#include "nn/layers.h"

namespace sfumato {

// h = conv1(silu(norm1(x))) + time_emb_proj(emb); h = conv2(dropout(silu(norm2(h)))); shortcut(x) + h.
// x (N, in, H, W), emb (N, 4 * first width) after its SiLU, result (N, out, H, W). The shortcut is a 1x1 convolution
// where the widths differ. conv2 starts at zero (Ho et al.), so that a fresh block is its shortcut.
class ResnetBlock : public Module {
 public:
  ResnetBlock(int64_t in, int64_t out, const UNetConfig& config);
  Variable operator()(const Variable& x, const Variable& emb) const;
  void visit(Visitor& v) override {
    v("norm1", norm1)("conv1", conv1)("time_emb_proj", time_emb_proj)("norm2", norm2)("dropout", dropout)("conv2",
                                                                                                          conv2);
    v("conv_shortcut", conv_shortcut);
  }

  GroupNorm norm1;
  Conv2d conv1;
  Linear time_emb_proj;
  GroupNorm norm2;
  Dropout dropout;
  Conv2d conv2;
  std::optional<Conv2d> conv_shortcut;
};

// Self-attention over the pixels: softmax(q^T k / sqrt(d)) per head, then a linear layer, added to the input as it came
// in (un-normalised). x (N, C, H, W). q, k and v are linear layers on channels, applied without moving channels last.
class AttentionBlock : public Module {
 public:
  AttentionBlock(int64_t channels, const UNetConfig& config);
  Variable operator()(const Variable& x) const;
  void visit(Visitor& v) override {
    v("group_norm", group_norm)("to_q", to_q)("to_k", to_k)("to_v", to_v)("to_out", to_out);
  }

  GroupNorm group_norm;
  Linear to_q, to_k, to_v;
  ModuleList<Linear> to_out;  // one entry: diffusers calls it to_out.0

 private:
  int64_t heads_;
};

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

}  // namespace sfumato
