// The U-Net of Ho et al. 2020, improved DDPM (Nichol & Dhariwal 2021) and ADM (Dhariwal & Nichol 2021), with diffusers'
// parameter names and their configuration (UNet2DModel).
//
//   UNet net(UNetConfig{.sample_size = 32, .in_channels = 1, .out_channels = 1, ...});
//   initialize(net, /*seed=*/0);
//   Variable eps = net(x_t, t);          // x_t (N, C, H, W), t (N) in 0..T-1; the result has out_channels channels
//   Variable of_class = net(x_t, t, labels);                                // where the configuration has classes
//
//   t -> time_proj: sinusoids | Fourier -> time_embedding: Linear, SiLU, Linear -+-> act -> emb, read by every
//   label -> class_embedding: a row | Linear, SiLU, Linear | as it is ----------/           residual block R
//
//   x -> conv_in -> [ R R (A) ]---------------- skips ----------------> [ R R R (A) ] -> norm, SiLU, conv_out (-> / t)
//                       | down                                              ^ up
//                       [ R R (A) ]------------ skips ----------> [ R R R (A) ]
//                           |                                         ^
//                           [ R R (A) ]-------- skips -> [ R R R (A) ]
//                                   \                       /
//                                    mid_block: R (A) R
//
// Attention A follows each residual block of the levels that have it. Every output on the way down (conv_in, each
// R(+A), each `down`) is kept and concatenated, last first, to the inputs of the way up. The members of the family
// differ in
//
//                       Ho 2020            improved DDPM        ADM                     score SDE
//   emb in R            added              scale and shift      scale and shift         added
//   down, up            convolutions       convolutions         residual blocks         convolutions
//   heads               one                by width             by width                by width
//   time_proj           sinusoids          sinusoids            sinusoids               Fourier, result / t
//   label               none               a row per class      a row per class         none
//   out_channels        C                  2 C: also variance   2 C: also variance      C
//
// each by a field of its own ("diffusion/model/unet_config.h"), so that they can be mixed. R is drawn in
// "diffusion/model/resnet_block.h".
#pragma once

#include "diffusion/model/network.h"
#include "diffusion/model/time_embedding.h"
#include "diffusion/model/unet_levels.h"

namespace sfumato {

class UNet : public DenoisingNetwork {
 public:
  // Throws Error when the configuration is not consistent. Parameters have no values before initialize() or loading.
  explicit UNet(const UNetConfig& config);
  Shape sample_shape() const override { return {config_.in_channels, config_.height(), config_.width()}; }
  int64_t num_classes() const override { return config_.num_classes(); }
  std::string class_name() const override { return "UNet2DModel"; }
  std::string config_json() const override { return config_.to_json(); }
  void visit(Visitor& v) override;
  const UNetConfig& config() const { return config_; }

 protected:
  // Throws unless x is (N, in_channels, H, W) with H and W divisible by config().total_stride().
  Variable forward(const Variable& x, const Tensor& t, const Tensor& labels) const override;
  // class_embed_type "timestep" takes any number (N), "identity" vectors (N, config().time_width()).
  void check_labels(const Tensor& labels, int64_t batch) const override;

 private:
  Tensor time_features(const Tensor& t, DType dtype) const;
  Variable embedding(const Tensor& t, const Tensor& labels, DType dtype) const;
  UNetConfig config_;

 public:
  Conv2d conv_in;
  std::optional<FourierFeatures> time_proj;
  TimestepEmbedding time_embedding;
  std::optional<Embedding> class_rows;         // "class_embedding" is one of these,
  std::optional<TimestepEmbedding> class_mlp;  // or neither
  ModuleList<DownBlock> down_blocks;
  std::optional<MidBlock> mid_block;
  ModuleList<UpBlock> up_blocks;
  GroupNorm conv_norm_out;
  Conv2d conv_out;
};

}  // namespace sfumato
