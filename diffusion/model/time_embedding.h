// Time features: how the network is told the noise level.
//
//   Tensor features = timestep_embedding(t, 128, /*flip_sin_to_cos=*/false, /*freq_shift=*/1);   // (N, 128)
//   Variable emb = time_embedding(features);                                                  // (N, 512)
//
// Sinusoidal (Vaswani et al. 2017, Ho et al. 2020): with half = width / 2 and f_i = exp(-ln(10^4) i / (half -
// freq_shift)), the features are [sin(t f_0), ..., sin(t f_{half-1}), cos(t f_0), ..., cos(t f_{half-1})], or the
// cosines first.
#pragma once

#include "nn/layers.h"

namespace sfumato {

// t (N) of any number dtype -> (N, width). Throws unless width is even and half > freq_shift. The angles are computed
// in f64 and rounded once.
Tensor timestep_embedding(
    const Tensor& t, int64_t width, bool flip_sin_to_cos, double freq_shift, DType dtype = DType::f32);

// Linear - SiLU - Linear on the features: (N, in) -> (N, out).
class TimestepEmbedding : public Module {
 public:
  TimestepEmbedding(int64_t in, int64_t out) : linear_1(in, out), linear_2(out, out) {}
  Variable operator()(const Variable& features) const {
    const ModuleScope at_work(*this);
    return linear_2(silu(linear_1(features)));
  }
  void visit(Visitor& v) override { v("linear_1", linear_1)("linear_2", linear_2); }

  Linear linear_1, linear_2;
};

}  // namespace sfumato
