// Self-attention over the pixels of an image, as diffusers' Attention in a UNet2DModel.
//
//   AttentionBlock block(64, config);
//   Variable y = block(x);                                        // x (N, 64, H, W), y alike
//
//   y = (x + to_out(softmax(q^T k / sqrt(d)) v)) / scale   per head of width d, with q, k, v linear in group_norm(x)
//
// The residual is x as it came in, un-normalised. q, k and v are linear layers on channels, applied without moving
// channels last.
#pragma once

#include <optional>

#include "diffusion/model/unet_config.h"
#include "nn/layers.h"

namespace sfumato {

class AttentionBlock : public Module {
 public:
  AttentionBlock(int64_t channels, const UNetConfig& config)
      : AttentionBlock(channels, config, config.norm_num_groups, /*scale=*/1) {}
  // `norm_groups` none: without a norm. to_out starts at zero (Ho et al.).
  AttentionBlock(int64_t channels, const UNetConfig& config, std::optional<int64_t> norm_groups, double scale);
  Variable operator()(const Variable& x) const;
  void visit(Visitor& v) override {
    v("group_norm", group_norm)("to_q", to_q)("to_k", to_k)("to_v", to_v)("to_out", to_out);
  }

  std::optional<GroupNorm> group_norm;
  Linear to_q, to_k, to_v;
  ModuleList<Linear> to_out;  // one entry: diffusers calls it to_out.0

 private:
  int64_t heads_;
  double scale_;
};

}  // namespace sfumato
