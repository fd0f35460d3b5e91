#include "diffusion/model/time_embedding.h"

#include <cmath>
#include <numbers>

#include "tensor/dry_run.h"
#include "tensor/ops/elementwise.h"
#include "tensor/random.h"

namespace sfumato {

Tensor timestep_embedding(const Tensor& t, int64_t width, bool flip_sin_to_cos, double freq_shift, DType dtype) {
  check(t.dim() == 1, "timestep_embedding: t must be (N), got ", t.shape());
  const int64_t half = width / 2;
  check(width % 2 == 0 && static_cast<double>(half) > freq_shift, "timestep_embedding: width ", width,
        " must be even and its half larger than freq_shift = ", freq_shift);
  const std::vector<double> times = t.to_vector();
  Tensor features = Tensor::empty({t.numel(), width}, DType::f64);
  double* row = features.mutable_data<double>();
  const int64_t cosines = flip_sin_to_cos ? 0 : half;
  for (const double time : times) {
    for (int64_t i = 0; i < half; ++i) {
      const double frequency =
          std::exp(-std::log(1e4) * static_cast<double>(i) / (static_cast<double>(half) - freq_shift));
      row[cosines + i] = std::cos(time * frequency);
      row[half - cosines + i] = std::sin(time * frequency);
    }
    row += width;
  }
  return features.to(dtype);
}

Tensor fourier_embedding(const Tensor& t, const Tensor& frequencies, DType dtype) {
  check(t.dim() == 1, "fourier_embedding: t must be (N), got ", t.shape());
  check(frequencies.dim() == 1, "fourier_embedding: frequencies must be (K), got ", frequencies.shape());
  const std::vector<double> times = t.to_vector(), w = frequencies.to_vector();
  const auto half = static_cast<int64_t>(w.size());
  Tensor features = Tensor::empty({t.numel(), 2 * half}, DType::f64);
  double* row = features.mutable_data<double>();
  for (const double time : times) {
    check(time > 0 || dry_run(), "fourier_embedding: takes the logarithm of t, which must be positive, got ", time,
          " (of the spacings of timesteps, trailing is the one that leaves out 0)");
    const double turn = 2 * std::numbers::pi * std::log(time);
    for (size_t i = 0; i < w.size(); ++i) {
      row[i] = std::sin(turn * w[i]);
      row[w.size() + i] = std::cos(turn * w[i]);
    }
    row += 2 * half;
  }
  return features.to(dtype);
}

FourierFeatures::FourierFeatures(int64_t count, double scale) {
  const RandomScope any_seed({});
  weight = mul(randn({count}, RandomStream::of("init", "fourier-frequencies")), scale);
}

}  // namespace sfumato
