// Time features: how the network is told the noise level.
//
//   Tensor features = timestep_embedding(t, 128, /*flip_sin_to_cos=*/false, /*freq_shift=*/1);   // (N, 128)
//   Variable emb = time_embedding(features);                                                  // (N, 512)
//
// Sinusoidal (Vaswani et al. 2017, Ho et al. 2020): with half = width / 2 and f_i = exp(-ln(10^4) i / (half -
// freq_shift)), the features are [sin(t f_0), ..., sin(t f_{half-1}), cos(t f_0), ..., cos(t f_{half-1})], or the
// cosines first.
//
// Random Fourier (Tancik et al. 2020, Song et al. 2021): [sin(2 pi w ln t) | cos(2 pi w ln t)] with fixed w ~ N(0,
// 16^2).
#pragma once

#include "nn/layers.h"

namespace sfumato {

// t (N) of any number dtype -> (N, width). Throws unless width is even and half > freq_shift. The angles are computed
// in f64 and rounded once.
Tensor timestep_embedding(
    const Tensor& t, int64_t width, bool flip_sin_to_cos, double freq_shift, DType dtype = DType::f32);

// t (N) of any number dtype, all positive, and frequencies w (K) -> (N, 2 K).
Tensor fourier_embedding(const Tensor& t, const Tensor& frequencies, DType dtype = DType::f32);

// The frequencies of random Fourier features as a part of a network: `weight` is saved with it and not trained. They
// are the same for every seed; a state dict brings its own.
class FourierFeatures : public Module {
 public:
  explicit FourierFeatures(int64_t count, double scale = 16);
  Tensor operator()(const Tensor& t, DType dtype) const { return fourier_embedding(t, weight, dtype); }
  void visit(Visitor& v) override { v("weight", weight); }

  Tensor weight;
};

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
