#include "diffusion/samplers/denoiser.h"

#include "tensor/ops/elementwise.h"
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

Tensor call_denoiser(std::string_view sampler, const Denoiser& denoiser, const Tensor& x_t, double t) {
  check(x_t.dim() >= 1 && is_floating(x_t.dtype()), sampler, ": images must be (N, ...), f32 or f64, got ", x_t.shape(),
        " ", x_t.dtype());
  Tensor output = denoiser(x_t, full({x_t.size(0)}, t));
  check(output.shape() == x_t.shape() && output.dtype() == x_t.dtype(), sampler, ": the denoiser returned ",
        output.shape(), " ", output.dtype(), " for images of ", x_t.shape(), " ", x_t.dtype());
  return output;
}

Tensor draw_noise(std::string_view sampler, const NoiseSource& source, int64_t step_index, const Tensor& x) {
  const RandomState& scope = RandomScope::current();
  const Tensor noise = source ? source(step_index, x.shape())
                              : step_noise(scope.seed, scope.first_sample, x.dtype())(step_index, x.shape());
  check(noise.shape() == x.shape(), sampler, ": the noise source returned ", noise.shape(), " for images of ",
        x.shape());
  return noise.to(x.dtype());
}

Tensor predicted_x0(const PredictionOptions& options,
                    const Tensor& output,
                    const Tensor& x_t,
                    const NoiseLevel& level) {
  const Tensor x0 = to_x0(options.type, output, x_t, level);
  return options.clip_sample ? clamp(x0, -options.clip_sample_range, options.clip_sample_range) : x0;
}

}  // namespace sfumato
