#include "diffusion/samplers/ddim.h"

#include <algorithm>
#include <cmath>

#include "tensor/ops/elementwise.h"

namespace sfumato {

DdimStep ddim_step(const NoiseSchedule& schedule, GridStep step, double eta, bool set_alpha_to_one) {
  const int64_t target = step.previous < 0 && !set_alpha_to_one ? 0 : step.previous;
  return dispatch_precision(schedule.precision(), [&]<class Real>() {
    const Real a = static_cast<Real>(schedule.alpha_cumprod(step.t));
    const Real a_previous = static_cast<Real>(schedule.alpha_cumprod(target));
    const Real variance = (1 - a_previous) / (1 - a) * (1 - a / a_previous);
    const Real sigma = static_cast<Real>(eta) * std::sqrt(variance);
    // Rounding can push the argument below zero where eta = 1 makes it vanish.
    const Real direction = std::sqrt(std::max(1 - a_previous - sigma * sigma, Real(0)));
    return DdimStep{std::sqrt(a_previous), direction, sigma};
  });
}

Tensor ddim_sample(const Denoiser& denoiser,
                   const NoiseSchedule& schedule,
                   const Tensor& x_T,
                   const DdimOptions& options) {
  check(options.eta >= 0 && options.eta <= 1, "ddim_sample: eta must lie in [0, 1], got ", options.eta);
  const auto grid = sampling_grid(schedule.num_timesteps(), options.timesteps, options.previous);
  const int64_t steps = static_cast<int64_t>(grid.size());
  const PredictionOptions& prediction = options.prediction;
  Tensor x = x_T;
  for (int64_t i = 0; i < steps; ++i) {
    const GridStep step = grid[static_cast<size_t>(i)];
    const NoiseLevel level = schedule.level(step.t);
    const DdimStep c = ddim_step(schedule, step, options.eta, options.set_alpha_to_one);
    // A learned variance is of no use here: the second half of such an output is dropped.
    const Tensor output = call_denoiser("ddim_sample", denoiser, x, static_cast<double>(step.t)).prediction;
    const Tensor x0 = predicted_x0(prediction, output, x, level);
    const Tensor eps = options.use_clipped_model_output ? to_epsilon(PredictionType::sample, x0, x, level)
                                                        : to_epsilon(prediction.type, output, x, level);
    Tensor next = x0 * c.x0 + eps * c.epsilon;
    if (options.eta > 0) next = next + draw_noise("ddim_sample", options.noise, i, x) * c.sigma;
    if (options.on_step) options.on_step({i, steps, step.t, x, x0, next});
    x = next;
  }
  return x;
}

Tensor ddim_invert(const Denoiser& denoiser,
                   const NoiseSchedule& schedule,
                   const Tensor& x0,
                   const DdimOptions& options) {
  check(options.eta == 0, "ddim_invert: eta must be 0, got ", options.eta);
  auto grid = sampling_timesteps(schedule.num_timesteps(), options.timesteps);
  std::reverse(grid.begin(), grid.end());
  const int64_t steps = static_cast<int64_t>(grid.size());
  Tensor x = x0;
  int64_t from = -1;
  for (int64_t i = 0; i < steps; ++i) {
    const int64_t to = grid[static_cast<size_t>(i)], seen = std::max(from, grid.front());
    const Tensor output = call_denoiser("ddim_invert", denoiser, x, static_cast<double>(seen)).prediction;
    const Tensor predicted = from < 0 ? x : predicted_x0(options.prediction, output, x, schedule.level(from));
    const Tensor eps = to_epsilon(options.prediction.type, output, x, schedule.level(seen));
    const NoiseLevel level = schedule.level(to);
    const Tensor next = predicted * level.signal + eps * level.noise;
    if (options.on_step) options.on_step({i, steps, seen, x, predicted, next});
    x = next;
    from = to;
  }
  return x;
}

}  // namespace sfumato
