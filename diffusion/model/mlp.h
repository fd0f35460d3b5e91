// MlpDenoiser: a small residual network for points in the plane (or in a few dimensions), where the whole of diffusion
// can be watched in seconds.
//
//   MlpDenoiser net(MlpConfig{.sample_dim = 2, .width = 128, .depth = 3});
//   initialize(net, /*seed=*/0);
//   Variable eps = net(x_t, t);          // x_t (N, 2), t (N) in 0..T-1 -> (N, 2)
//
//   t -> sinusoids -> Linear -> SiLU -> Linear (+ class_embedding[label]) -> SiLU -> emb
//   x -> linear_in -> [ h + linear_2(SiLU(linear_1(SiLU(h)) + time_proj(emb))) ] x depth -> SiLU -> linear_out
#pragma once

#include "diffusion/model/network.h"
#include "diffusion/model/time_embedding.h"
#include "nn/layers.h"

namespace sfumato {

struct MlpConfig {
  int64_t sample_dim = 2;
  int64_t width = 128;
  int64_t depth = 3;                // residual blocks
  int64_t time_embedding_dim = 64;  // sinusoids, an even number
  int64_t num_classes = 0;          // labels that it is told; 0: none, and then no field of config.json

  // Throws Error naming the first rule that the fields break.
  void validate() const;
  std::string to_json() const;
  // An unknown field is refused by name. `source` names the text in errors.
  static MlpConfig from_json(std::string_view text, std::string_view source);
};

// One residual block of the drawing above.
class MlpBlock : public Module {
 public:
  explicit MlpBlock(int64_t width)
      : linear_1(width, width), time_proj(width, width), linear_2(width, width, /*bias=*/true, Init::zeros) {}
  // h, emb (N, width).
  Variable operator()(const Variable& h, const Variable& emb) const {
    const ModuleScope at_work(*this);
    return h + linear_2(silu(linear_1(silu(h)) + time_proj(emb)));
  }
  void visit(Visitor& v) override { v("linear_1", linear_1)("time_proj", time_proj)("linear_2", linear_2); }

  Linear linear_1, time_proj, linear_2;
};

class MlpDenoiser : public DenoisingNetwork {
 public:
  // Throws Error when the configuration is not consistent.
  explicit MlpDenoiser(const MlpConfig& config);
  Shape sample_shape() const override { return {config_.sample_dim}; }
  int64_t num_classes() const override { return config_.num_classes; }
  std::string class_name() const override { return "MlpDenoiser"; }
  std::string config_json() const override { return config_.to_json(); }
  void visit(Visitor& v) override;
  const MlpConfig& config() const { return config_; }

 protected:
  Variable forward(const Variable& x, const Tensor& t, const Tensor& labels) const override;

 private:
  MlpConfig config_;

 public:
  TimestepEmbedding time_embedding;
  std::optional<Embedding> class_embedding;
  Linear linear_in;
  ModuleList<MlpBlock> blocks;
  Linear linear_out;
};

}  // namespace sfumato
