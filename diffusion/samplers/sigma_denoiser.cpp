#include "diffusion/samplers/sigma_denoiser.h"

#include "tensor/ops/elementwise.h"

namespace sfumato {

SigmaDenoiser sigma_denoiser(const Denoiser& network, const SigmaTable& table, const PredictionOptions& prediction) {
  return [=](const Tensor& x, double sigma) {
    const NoiseLevel level = level_of(sigma);
    const Tensor x_t = x * level.signal;
    const Tensor output = call_denoiser("sigma_denoiser", network, x_t, table.time(sigma)).prediction;
    return predicted_x0(prediction, output, x_t, level);
  };
}

void check_solver(std::string_view solver, const Tensor& x, std::span<const double> sigmas) {
  check(x.dim() >= 1 && is_floating(x.dtype()), solver, ": images must be (N, ...), f32 or f64, got ", x.shape(), " ",
        x.dtype());
  check(sigmas.size() >= 2, solver, ": at least two noise levels are needed, got ", sigmas.size());
  for (size_t i = 0; i < sigmas.size(); ++i) {
    check(std::isfinite(sigmas[i]) && sigmas[i] >= 0, solver, ": noise levels must be finite and not negative, got ",
          sigmas[i]);
    check(i == 0 || sigmas[i] < sigmas[i - 1], solver, ": noise levels must fall, got ", sigmas[i], " after ",
          sigmas[i - (i > 0 ? 1 : 0)]);
  }
}

Tensor call_denoiser(std::string_view solver, const SigmaDenoiser& denoiser, const Tensor& x, double sigma) {
  Tensor x0 = denoiser(x, sigma);
  check(x0.shape() == x.shape() && x0.dtype() == x.dtype(), solver, ": the denoiser returned ", x0.shape(), " ",
        x0.dtype(), " for images of ", x.shape(), " ", x.dtype());
  return x0;
}

Tensor towards(const Tensor& x0, const Tensor& x, double sigma, double sigma_next) {
  const double ratio = sigma_next / sigma;
  return x * ratio + x0 * (1 - ratio);
}

Tensor walk_down(std::string_view solver,
                 const Tensor& x,
                 std::span<const double> sigmas,
                 const SolverCallback& on_step,
                 const std::function<SolverResult(int64_t, const Tensor&, double, double)>& step) {
  check_solver(solver, x, sigmas);
  const auto steps = static_cast<int64_t>(sigmas.size()) - 1;
  Tensor current = x;
  for (int64_t i = 0; i < steps; ++i) {
    const double sigma = sigmas[static_cast<size_t>(i)], sigma_next = sigmas[static_cast<size_t>(i + 1)];
    SolverResult result = step(i, current, sigma, sigma_next);
    if (on_step) on_step({i, steps, sigma, sigma_next, current, result.x0, result.x_next});
    current = std::move(result.x_next);
  }
  return current;
}

}  // namespace sfumato
