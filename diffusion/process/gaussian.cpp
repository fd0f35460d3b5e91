#include "diffusion/process/gaussian.h"

#include <cmath>

#include "diffusion/process/per_sample.h"
#include "diffusion/process/prediction.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

void check_pair(
    std::string_view op, std::string_view name_a, const Tensor& a, std::string_view name_b, const Tensor& b) {
  check(a.shape() == b.shape(), op, ": ", name_a, " has shape ", a.shape(), " but ", name_b, " has ", b.shape());
}

}  // namespace

Tensor q_sample(const NoiseSchedule& schedule, const Tensor& x0, const Tensor& t, const Tensor& noise) {
  check_pair("q_sample", "x0", x0, "noise", noise);
  const NoiseLevels level = noise_levels(schedule, t, x0);
  return x0 * level.signal + noise * level.noise;
}

Tensor q_step(const NoiseSchedule& schedule, const Tensor& x_previous, const Tensor& t, const Tensor& noise) {
  check_pair("q_step", "x_previous", x_previous, "noise", noise);
  const auto keep = [&](int64_t i) { return std::sqrt(schedule.alpha(i)); };
  const auto add = [&](int64_t i) { return std::sqrt(schedule.beta(i)); };
  return x_previous * per_sample("q_step", t, x_previous, keep) + noise * per_sample("q_step", t, x_previous, add);
}

Tensor equivalent_noise(const NoiseSchedule& schedule, std::span<const Tensor> step_noises) {
  check(!step_noises.empty(), "equivalent_noise: at least one step is needed");
  const int64_t t = static_cast<int64_t>(step_noises.size()) - 1;
  const double total = schedule.alpha_cumprod(t);
  Tensor sum;
  for (int64_t s = 0; s <= t; ++s) {
    const double weight = std::sqrt(total / schedule.alpha_cumprod(s) * schedule.beta(s) / (1 - total));
    const Tensor term = step_noises[static_cast<size_t>(s)] * weight;
    sum = s == 0 ? term : sum + term;
  }
  return sum;
}

Posterior q_posterior(const NoiseSchedule& schedule, const Tensor& x_t, const Tensor& x0, const Tensor& t) {
  check_pair("q_posterior", "x_t", x_t, "x0", x0);
  const auto from_x0 = [&](int64_t i) {
    const double a = schedule.alpha_cumprod(i), a_previous = schedule.alpha_cumprod(i - 1);
    return std::sqrt(a_previous) * schedule.beta(i) / (1 - a);
  };
  const auto from_x_t = [&](int64_t i) {
    const double a = schedule.alpha_cumprod(i), a_previous = schedule.alpha_cumprod(i - 1);
    return std::sqrt(schedule.alpha(i)) * (1 - a_previous) / (1 - a);
  };
  const auto variance = [&](int64_t i) { return schedule.posterior_variance(i); };
  return {x0 * per_sample("q_posterior", t, x0, from_x0) + x_t * per_sample("q_posterior", t, x0, from_x_t),
          per_sample("q_posterior", t, x0, variance)};
}

}  // namespace sfumato
