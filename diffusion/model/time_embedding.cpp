#include "diffusion/model/time_embedding.h"

#include <cmath>

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

}  // namespace sfumato
