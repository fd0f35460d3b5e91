#include "diffusion/schedule/noise_schedule.h"

#include <algorithm>
#include <numbers>
#include <utility>

namespace sfumato {

namespace {

// As torch.linspace computes it: from both ends towards the middle, each entry one fused multiply-add.
template <class Real>
std::vector<Real> linspace_like_torch(double start, double end, int64_t count) {
  const Real first = static_cast<Real>(start), last = static_cast<Real>(end);
  const Real step = count > 1 ? (last - first) / static_cast<Real>(count - 1) : Real(0);
  std::vector<Real> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const bool front = i < count / 2 || count == 1;
    values[static_cast<size_t>(i)] =
        front ? std::fma(step, static_cast<Real>(i), first) : std::fma(-step, static_cast<Real>(count - 1 - i), last);
  }
  return values;
}

void check_count(int64_t num_timesteps) {
  check(num_timesteps >= 1 && num_timesteps <= 1'000'000,
        "noise schedule: num_train_timesteps must lie in 1..1000000, got ", num_timesteps);
}

template <class Real, class F>
std::vector<double> mapped(const std::vector<Real>& values, F&& f) {
  std::vector<double> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [&](Real value) { return static_cast<double>(f(value)); });
  return out;
}

double cosine_alpha_bar(double u) {
  const double c = std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2);
  return c * c;
}

}  // namespace

NoiseSchedule::NoiseSchedule(std::string name, std::vector<double> betas, TablePrecision precision)
    : name_(std::move(name)), precision_(precision), betas_(std::move(betas)) {
  check_count(num_timesteps());
  dispatch_precision(precision, [&]<class Real>() {
    double product = 1;  // a double in both precisions, as in torch.cumprod on the CPU
    for (double& beta : betas_) {
      const bool at_end = &beta == &betas_.back();
      check(beta > 0 && (beta < 1 || (at_end && beta == 1)), "noise schedule: each beta must lie in (0, 1), got ",
            beta);
      beta = static_cast<Real>(beta);
      const Real alpha = Real(1) - static_cast<Real>(beta);
      product *= alpha;
      alphas_.push_back(alpha);
      alphas_cumprod_.push_back(static_cast<Real>(product));
    }
  });
}

NoiseLevel NoiseSchedule::level(int64_t t) const {
  const double a = alpha_cumprod(t);
  return dispatch_precision(precision_, [&]<class Real>() {
    return NoiseLevel{std::sqrt(static_cast<Real>(a)), std::sqrt(Real(1) - static_cast<Real>(a))};
  });
}

double NoiseSchedule::snr(int64_t t) const {
  const double a = alphas_cumprod_[checked(t)];
  return a / (1 - a);
}

double NoiseSchedule::posterior_variance(int64_t t) const {
  return beta(t) * (1 - alpha_cumprod(t - 1)) / (1 - alpha_cumprod(t));
}

NoiseSchedule NoiseSchedule::respaced(std::span<const int64_t> timesteps) const {
  std::vector<double> betas;
  int64_t previous = -1;
  for (const int64_t t : timesteps) {
    check(t > previous, "respaced: timesteps must ascend, got ", t, " after ", previous);
    betas.push_back(1 - alpha_cumprod(t) / alpha_cumprod(previous));
    previous = t;
  }
  return {name_ + " (respaced)", std::move(betas), precision_};
}

NoiseSchedule linear_schedule(int64_t num_timesteps, double beta_start, double beta_end, TablePrecision precision) {
  check_count(num_timesteps);
  return dispatch_precision(precision, [&]<class Real>() {
    auto betas = linspace_like_torch<Real>(beta_start, beta_end, num_timesteps);
    return NoiseSchedule("linear", mapped(betas, [](Real beta) { return beta; }), precision);
  });
}

NoiseSchedule scaled_linear_schedule(int64_t num_timesteps,
                                     double beta_start,
                                     double beta_end,
                                     TablePrecision precision) {
  check_count(num_timesteps);
  return dispatch_precision(precision, [&]<class Real>() {
    auto roots = linspace_like_torch<Real>(std::sqrt(beta_start), std::sqrt(beta_end), num_timesteps);
    return NoiseSchedule("scaled_linear", mapped(roots, [](Real root) { return root * root; }), precision);
  });
}

NoiseSchedule cosine_schedule(int64_t num_timesteps, double max_beta, TablePrecision precision) {
  check_count(num_timesteps);
  const double count = static_cast<double>(num_timesteps);
  std::vector<double> betas;
  for (int64_t t = 0; t < num_timesteps; ++t) {
    const double from = static_cast<double>(t) / count, to = static_cast<double>(t + 1) / count;
    betas.push_back(std::min(1 - cosine_alpha_bar(to) / cosine_alpha_bar(from), max_beta));
  }
  return {"squaredcos_cap_v2", std::move(betas), precision};
}

NoiseSchedule sigmoid_schedule(int64_t num_timesteps, double beta_start, double beta_end, TablePrecision precision) {
  check_count(num_timesteps);
  return dispatch_precision(precision, [&]<class Real>() {
    const auto arguments = linspace_like_torch<Real>(-6, 6, num_timesteps);
    const auto range = static_cast<Real>(beta_end - beta_start), start = static_cast<Real>(beta_start);
    return NoiseSchedule("sigmoid", mapped(arguments, [&](Real u) { return range / (1 + std::exp(-u)) + start; }),
                         precision);
  });
}

NoiseSchedule harmonic_schedule(int64_t num_timesteps) {
  check_count(num_timesteps);
  std::vector<double> betas;
  for (int64_t t = 1; t <= num_timesteps; ++t) betas.push_back(1 / static_cast<double>(num_timesteps - t + 1));
  return {"harmonic", std::move(betas)};
}

NoiseSchedule zero_terminal_snr(const NoiseSchedule& schedule) {
  return dispatch_precision(schedule.precision(), [&]<class Real>() {
    std::vector<Real> roots;
    for (const double a : schedule.alphas_cumprod()) roots.push_back(std::sqrt(static_cast<Real>(a)));
    const Real first = roots.front(), last = roots.back();
    check(first > last, "zero_terminal_snr: needs a schedule of two timesteps or more");
    std::vector<double> betas;
    Real previous = 1;
    for (const Real root : roots) {
      const Real shifted = (root - last) * (first / (first - last));
      const Real a = shifted * shifted;
      betas.push_back(1 - a / previous);
      previous = a;
    }
    return NoiseSchedule(schedule.name() + " (zero terminal snr)", std::move(betas), schedule.precision());
  });
}

namespace {

NoiseSchedule named_schedule(const ScheduleConfig& config, TablePrecision precision) {
  if (!config.trained_betas.empty()) return {"trained_betas", config.trained_betas, precision};
  const int64_t count = config.num_train_timesteps;
  if (config.beta_schedule == "linear") return linear_schedule(count, config.beta_start, config.beta_end, precision);
  if (config.beta_schedule == "scaled_linear") {
    return scaled_linear_schedule(count, config.beta_start, config.beta_end, precision);
  }
  if (config.beta_schedule == "sigmoid") return sigmoid_schedule(count, config.beta_start, config.beta_end, precision);
  check(config.beta_schedule == "squaredcos_cap_v2", "noise schedule: unknown beta_schedule \"", config.beta_schedule,
        "\" (linear, scaled_linear, squaredcos_cap_v2 and sigmoid are supported)");
  return cosine_schedule(count, 0.999, precision);
}

}  // namespace

NoiseSchedule make_schedule(const ScheduleConfig& config, TablePrecision precision) {
  const NoiseSchedule schedule = named_schedule(config, precision);
  return config.rescale_betas_zero_snr ? zero_terminal_snr(schedule) : schedule;
}

}  // namespace sfumato
