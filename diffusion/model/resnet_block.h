// The residual block of the U-Net (Ho et al. 2020), with the variants of ADM (Dhariwal & Nichol 2021). Names and order
// of operations are those of diffusers' ResnetBlock2D, so that weights interchange.
//
//   ResnetBlock block(64, 128, config);
//   Variable h = block(x, emb);                     // x (N, 64, H, W), emb (N, config.time_width()) -> (N, 128, H, W)
//
//   x --+-- norm1, act, (resample) -- conv1 -- [emb] -- norm2, act -- dropout -- conv2 --+--> / scale
//       +------------------ (resample) -- (conv_shortcut: 1x1, where the widths differ) -+
//
// [emb] adds time_emb_proj(emb) before norm2; as adaptive group norm (scale_shift) it is h (1 + scale) + shift after
// norm2, with (scale, shift) = time_emb_proj(emb).
#pragma once

#include <optional>

#include "diffusion/model/activation.h"
#include "diffusion/model/unet_config.h"

namespace sfumato {

class ResnetBlock : public Module {
 public:
  // down: averages 2 x 2 pixels; up: repeats each 2 x 2. On both paths, so that the block keeps what it resamples.
  enum class Resample { none, down, up };

  // `scale` divides the result. conv2 starts at zero (Ho et al.), so that a fresh block is its shortcut.
  ResnetBlock(int64_t in, int64_t out, const UNetConfig& config, Resample resample = Resample::none, double scale = 1);
  // emb comes activated: every block reads the same.
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

 private:
  Variable resampled(const Variable& x) const;
  // norm2 and its activation, with what emb adds before or scales after.
  Variable second_norm(Variable h, const Variable& emb) const;

  Activation act_;
  bool scale_shift_;
  Resample resample_;
  double scale_;
};

}  // namespace sfumato
