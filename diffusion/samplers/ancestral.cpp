#include "diffusion/samplers/ancestral.h"

#include <algorithm>
#include <cmath>

#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

template <class Real>
Real standard_deviation(VarianceType type, Real beta, Real posterior_variance) {
  const Real small = std::max(posterior_variance, Real(1e-20));
  switch (type) {
    case VarianceType::fixed_small: return std::sqrt(small);
    case VarianceType::fixed_small_log: return std::exp(Real(0.5) * std::log(small));
    case VarianceType::fixed_large: return std::sqrt(beta);
  }
  detail::fail_internal("ancestral_step: unknown variance type");
}

}  // namespace

AncestralStep ancestral_step(const NoiseSchedule& schedule, GridStep step, VarianceType variance) {
  return dispatch_precision(schedule.precision(), [&]<class Real>() {
    const Real a = static_cast<Real>(schedule.alpha_cumprod(step.t));
    const Real a_previous = static_cast<Real>(schedule.alpha_cumprod(step.previous));
    const Real alpha = a / a_previous;
    const Real beta = 1 - alpha;
    const Real from_x0 = std::sqrt(a_previous) * beta / (1 - a);
    const Real from_x_t = std::sqrt(alpha) * (1 - a_previous) / (1 - a);
    const Real posterior_variance = (1 - a_previous) / (1 - a) * beta;
    const Real sigma = step.t > 0 ? standard_deviation(variance, beta, posterior_variance) : Real(0);
    return AncestralStep{from_x0, from_x_t, sigma};
  });
}

Tensor ancestral_sample(const Denoiser& denoiser,
                        const NoiseSchedule& schedule,
                        const Tensor& x_T,
                        const AncestralOptions& options) {
  const auto grid = sampling_grid(schedule.num_timesteps(), options.timesteps, options.previous);
  const int64_t steps = static_cast<int64_t>(grid.size());
  Tensor x = x_T;
  for (int64_t i = 0; i < steps; ++i) {
    const GridStep step = grid[static_cast<size_t>(i)];
    const AncestralStep c = ancestral_step(schedule, step, options.variance);
    const Tensor output = call_denoiser("ancestral_sample", denoiser, x, static_cast<double>(step.t));
    const Tensor x0 = predicted_x0(options.prediction, output, x, schedule.level(step.t));
    Tensor next = x0 * c.x0 + x * c.x_t;
    if (c.sigma > 0) next = next + draw_noise("ancestral_sample", options.noise, i, x) * c.sigma;
    if (options.on_step) options.on_step({i, steps, step.t, x, x0, next});
    x = next;
  }
  return x;
}

std::string_view name_of(VarianceType type) {
  switch (type) {
    case VarianceType::fixed_small: return "fixed_small";
    case VarianceType::fixed_small_log: return "fixed_small_log";
    case VarianceType::fixed_large: return "fixed_large";
  }
  return "?";
}

VarianceType parse_variance_type(std::string_view name) {
  for (const auto type : {VarianceType::fixed_small, VarianceType::fixed_small_log, VarianceType::fixed_large}) {
    if (name == name_of(type)) return type;
  }
  detail::fail("variance_type: \"", name, "\" is not supported (fixed_small, fixed_small_log and fixed_large are)");
}

}  // namespace sfumato
