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
    case VarianceType::learned:
    case VarianceType::learned_range: return std::sqrt(small);
    case VarianceType::fixed_large_log:
      detail::fail("ancestral_sample: variance_type fixed_large_log is not supported");
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
    const Real log_small = std::log(std::max(posterior_variance, Real(1e-20)));
    return AncestralStep{from_x0, from_x_t, sigma, log_small, std::log(beta)};
  });
}

namespace {

// The variance of each pixel where the network decides.
Tensor learned_variance(VarianceType type, const AncestralStep& step, const Tensor& output) {
  if (type == VarianceType::learned) return output;
  const Tensor weight = (output + 1.0) / 2.0;
  return exp(weight * step.log_large - (weight - 1.0) * step.log_small);
}

// Of the step into the clean image, where beta~ is 0: that of the step before it.
double decoder_variance(const NoiseSchedule& schedule) {
  return schedule.num_timesteps() > 1 ? schedule.posterior_variance(1) : 0;
}

}  // namespace

ReverseStep reverse_step(const Denoiser& denoiser,
                         const NoiseSchedule& schedule,
                         GridStep step,
                         const Tensor& x_t,
                         const PredictionOptions& prediction,
                         VarianceType variance) {
  AncestralStep c = ancestral_step(schedule, step, variance);
  const DenoiserOutput output = call_denoiser("ancestral_sample", denoiser, x_t, static_cast<double>(step.t));
  const Tensor x0 = predicted_x0(prediction, output.prediction, x_t, schedule.level(step.t));
  const Tensor mean = x0 * c.x0 + x_t * c.x_t;
  const double small = step.t > 0 ? c.sigma * c.sigma : decoder_variance(schedule);
  if (!is_learned(variance)) return {x0, mean, full({}, small, x_t.dtype())};
  check(output.variance.defined(), "ancestral_sample: variance_type ", name_of(variance),
        " needs a network with twice the channels of its input, got ", output.prediction.shape());
  if (step.t == 0) c.log_small = std::log(small);
  return {x0, mean, learned_variance(variance, c, output.variance)};
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
    const ReverseStep reverse = reverse_step(denoiser, schedule, step, x, options.prediction, options.variance);
    Tensor next = reverse.mean;
    if (step.t > 0) next = next + draw_noise("ancestral_sample", options.noise, i, x) * sqrt(reverse.variance);
    if (options.on_step) options.on_step({i, steps, step.t, x, reverse.x0, next});
    x = next;
  }
  return x;
}

std::string_view name_of(VarianceType type) {
  switch (type) {
    case VarianceType::fixed_small: return "fixed_small";
    case VarianceType::fixed_small_log: return "fixed_small_log";
    case VarianceType::fixed_large: return "fixed_large";
    case VarianceType::fixed_large_log: return "fixed_large_log";
    case VarianceType::learned: return "learned";
    case VarianceType::learned_range: return "learned_range";
  }
  return "?";
}

VarianceType parse_variance_type(std::string_view name) {
  using enum VarianceType;
  for (const auto type : {fixed_small, fixed_small_log, fixed_large, fixed_large_log, learned, learned_range}) {
    if (name == name_of(type)) return type;
  }
  detail::fail("variance_type: unknown value \"", name,
               "\" (fixed_small, fixed_small_log, fixed_large, fixed_large_log, learned and learned_range are there)");
}

VarianceType parse_fixed_variance_type(std::string_view name) {
  for (const auto type : {VarianceType::fixed_small, VarianceType::fixed_small_log, VarianceType::fixed_large}) {
    if (name == name_of(type)) return type;
  }
  detail::fail("variance_type: \"", name, "\" is not supported (fixed_small, fixed_small_log and fixed_large are)");
}

}  // namespace sfumato
