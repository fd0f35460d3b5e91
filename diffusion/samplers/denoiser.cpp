#include "diffusion/samplers/denoiser.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato {

NoiseSource step_noise(uint64_t seed, int64_t first_sample, DType dtype) {
  return [=](int64_t step_index, const Shape& shape) {
    RandomScope scope({.seed = seed, .step = step_index, .first_sample = first_sample});
    return randn(shape, "sample-noise", dtype);
  };
}

Tensor initial_noise(const Shape& shape, uint64_t seed, int64_t first_sample, DType dtype) {
  RandomScope scope({.seed = seed, .step = 0, .first_sample = first_sample});
  return randn(shape, "sample-start", dtype);
}

DenoiserOutput call_denoiser(std::string_view sampler, const Denoiser& denoiser, const Tensor& x_t, double t) {
  check(x_t.dim() >= 1 && is_floating(x_t.dtype()), sampler, ": images must be (N, ...), f32 or f64, got ", x_t.shape(),
        " ", x_t.dtype());
  Tensor output = denoiser(x_t, full({x_t.size(0)}, t));
  const int64_t channels = x_t.dim() > 1 ? x_t.size(1) : 0;
  Shape doubled = x_t.shape();
  if (x_t.dim() > 1) doubled[1] *= 2;
  const bool with_variance = channels > 0 && output.shape() == doubled;
  check((output.shape() == x_t.shape() || with_variance) && output.dtype() == x_t.dtype(), sampler,
        ": the denoiser returned ", output.shape(), " ", output.dtype(), " for images of ", x_t.shape(), " ",
        x_t.dtype());
  if (!with_variance) return {output, {}};
  return {narrow(output, 1, 0, channels).contiguous(), narrow(output, 1, channels, channels).contiguous()};
}

Tensor draw_noise(std::string_view sampler, const NoiseSource& source, int64_t step_index, const Tensor& x) {
  const RandomState& scope = RandomScope::current();
  const Tensor noise = source ? source(step_index, x.shape())
                              : step_noise(scope.seed, scope.first_sample, x.dtype())(step_index, x.shape());
  check(noise.shape() == x.shape(), sampler, ": the noise source returned ", noise.shape(), " for images of ",
        x.shape());
  return noise.to(x.dtype());
}

namespace {

// As torch.quantile interpolates between the two nearest of the sorted values.
template <class Real>
Real quantile(std::vector<Real>& values, double ratio) {
  const Real rank = static_cast<Real>(ratio) * static_cast<Real>(values.size() - 1);
  const Real below = std::floor(rank);
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(below);
  std::nth_element(values.begin(), place, values.end());
  const auto next = std::min_element(place + 1, values.end());
  return next == values.end() ? *place : std::lerp(*place, *next, rank - below);
}

Tensor threshold(const PredictionOptions& options, const Tensor& x0) {
  const double most = options.sample_max_value;
  const double ratio = options.dynamic_thresholding_ratio;
  check(ratio >= 0 && ratio <= 1, "thresholding: dynamic_thresholding_ratio must lie in [0, 1], got ", ratio);
  Tensor out = x0.clone();
  const int64_t rows = x0.size(0), width = rows > 0 ? x0.numel() / rows : 0;
  if (width == 0) return out;
  dispatch<kReals>("thresholding", x0.dtype(), [&]<class Real>() {
    for (int64_t row = 0; row < rows; ++row) {
      Real* begin = out.mutable_data<Real>() + row * width;
      std::vector<Real> sizes(static_cast<size_t>(width));
      std::transform(begin, begin + width, sizes.begin(), [](Real value) { return std::abs(value); });
      // As torch.clamp with min 1: a maximum below 1 wins.
      const Real s = std::min(std::max(quantile(sizes, ratio), Real(1)), static_cast<Real>(most));
      std::transform(begin, begin + width, begin, [&](Real value) { return std::clamp(value, -s, s) / s; });
    }
  });
  return out;
}

}  // namespace

Tensor predicted_x0(const PredictionOptions& options,
                    const Tensor& output,
                    const Tensor& x_t,
                    const NoiseLevel& level) {
  const Tensor x0 = to_x0(options.type, output, x_t, level);
  if (options.thresholding) return threshold(options, x0);
  return options.clip_sample ? clamp(x0, -options.clip_sample_range, options.clip_sample_range) : x0;
}

}  // namespace sfumato
