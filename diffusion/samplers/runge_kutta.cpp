#include "diffusion/samplers/runge_kutta.h"

#include <algorithm>

#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

// Lines 4 to 6 of EDM's algorithm 2: more noise, and the level that the images have then.
double churn(std::string_view solver, const SolverOptions& options, int64_t i, int64_t steps, double sigma, Tensor& x) {
  const ChurnOptions& churn = options.churn;
  if (churn.amount <= 0 || sigma < churn.min || sigma > churn.max) return sigma;
  const double gamma = std::min(churn.amount / static_cast<double>(steps), std::sqrt(2.0) - 1);
  const double raised = sigma * (1 + gamma);
  x = x + draw_noise(solver, options.noise, i, x) * (churn.noise * std::sqrt(raised * raised - sigma * sigma));
  return raised;
}

// Walks down with step(x, sigma, sigma_next), after churn.
template <class Step>
Tensor solve(std::string_view solver,
             const Tensor& x,
             std::span<const double> sigmas,
             const SolverOptions& options,
             Step&& step) {
  const auto steps = static_cast<int64_t>(sigmas.size()) - 1;
  return walk_down(solver, x, sigmas, options.on_step,
                   [&](int64_t i, const Tensor& x_i, double sigma, double sigma_next) -> SolverResult {
                     Tensor raised = x_i;
                     const double sigma_raised = churn(solver, options, i, steps, sigma, raised);
                     return step(raised, sigma_raised, sigma_next);
                   });
}

}  // namespace

Tensor euler_sample(const SigmaDenoiser& denoiser,
                    const Tensor& x,
                    std::span<const double> sigmas,
                    const SolverOptions& options) {
  return solve("euler_sample", x, sigmas, options, [&](const Tensor& x_i, double sigma, double sigma_next) {
    const Tensor x0 = call_denoiser("euler_sample", denoiser, x_i, sigma);
    return SolverResult{x0, towards(x0, x_i, sigma, sigma_next)};
  });
}

Tensor heun_sample(const SigmaDenoiser& denoiser,
                   const Tensor& x,
                   std::span<const double> sigmas,
                   const SolverOptions& options) {
  return solve("heun_sample", x, sigmas, options, [&](const Tensor& x_i, double sigma, double sigma_next) {
    const Tensor x0 = call_denoiser("heun_sample", denoiser, x_i, sigma);
    const Tensor predicted = towards(x0, x_i, sigma, sigma_next);
    if (sigma_next == 0) return SolverResult{x0, predicted};
    const Tensor x0_next = call_denoiser("heun_sample", denoiser, predicted, sigma_next);
    const Tensor slope = (x_i - x0) / sigma, slope_next = (predicted - x0_next) / sigma_next;
    return SolverResult{x0, x_i + (slope + slope_next) * ((sigma_next - sigma) / 2)};
  });
}

Tensor rk4_sample(const SigmaDenoiser& denoiser,
                  const Tensor& x,
                  std::span<const double> sigmas,
                  const SolverOptions& options) {
  return solve("rk4_sample", x, sigmas, options, [&](const Tensor& x_i, double sigma, double sigma_next) {
    const Tensor x0 = call_denoiser("rk4_sample", denoiser, x_i, sigma);
    if (sigma_next == 0) return SolverResult{x0, towards(x0, x_i, sigma, 0)};
    const auto slope = [&](const Tensor& y, double at) {
      return (y - call_denoiser("rk4_sample", denoiser, y, at)) / at;
    };
    const double h = sigma_next - sigma, middle = sigma + h / 2;
    const Tensor k1 = (x_i - x0) / sigma;
    const Tensor k2 = slope(x_i + k1 * (h / 2), middle);
    const Tensor k3 = slope(x_i + k2 * (h / 2), middle);
    const Tensor k4 = slope(x_i + k3 * h, sigma_next);
    return SolverResult{x0, x_i + (k1 + (k2 + k3) * 2.0 + k4) * (h / 6)};
  });
}

}  // namespace sfumato
