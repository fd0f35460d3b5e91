#include "diffusion/schedule/sigmas.h"

#include <algorithm>
#include <cmath>

namespace sfumato {

namespace {

// The value at `fraction` of the way from a to b, along a straight line or one in ln.
double between(SigmaInterpolation interpolation, double a, double b, double fraction) {
  return interpolation == SigmaInterpolation::linear ? a + (b - a) * fraction
                                                     : std::exp(std::lerp(std::log(a), std::log(b), fraction));
}

void check_range(std::string_view op, int64_t count, double sigma_min, double sigma_max) {
  check(count >= 1, op, ": at least one level is needed, got ", count);
  check(sigma_min > 0 && sigma_min <= sigma_max && std::isfinite(sigma_max), op,
        ": needs 0 < sigma_min <= sigma_max, got ", sigma_min, " and ", sigma_max);
}

double fraction_of(int64_t i, int64_t count) {
  return count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
}

// Timesteps of `linspace`, not necessarily whole: from T-1 down to 0, or to the level above it.
std::vector<double> even_timesteps(int64_t last, int64_t steps, const SigmaGridOptions& options) {
  std::vector<double> times;
  const int64_t count = steps + (options.leave_out_lowest ? 1 : 0);
  for (int64_t i = 0; i < steps; ++i) {
    const double t = static_cast<double>(last) * (1 - fraction_of(i, count));
    times.push_back(options.whole_timesteps ? std::nearbyint(t) : t);
  }
  return times;
}

}  // namespace

std::vector<double> karras_sigmas(int64_t count, double sigma_min, double sigma_max, double rho, bool to_zero) {
  check_range("karras_sigmas", count, sigma_min, sigma_max);
  check(rho > 0, "karras_sigmas: rho must be positive, got ", rho);
  const double high = std::pow(sigma_max, 1 / rho), low = std::pow(sigma_min, 1 / rho);
  std::vector<double> sigmas;
  for (int64_t i = 0; i < count; ++i) {
    sigmas.push_back(i == 0 ? sigma_max : std::pow(high + fraction_of(i, count) * (low - high), rho));
  }
  if (to_zero) sigmas.push_back(0);
  return sigmas;
}

std::vector<double> geometric_sigmas(int64_t count, double sigma_min, double sigma_max) {
  check_range("geometric_sigmas", count, sigma_min, sigma_max);
  std::vector<double> sigmas;
  for (int64_t i = 0; i < count; ++i) {
    sigmas.push_back(between(SigmaInterpolation::log_linear, sigma_max, sigma_min, fraction_of(i, count)));
  }
  return sigmas;
}

SigmaTable::SigmaTable(const NoiseSchedule& schedule, SigmaInterpolation interpolation)
    : interpolation_(interpolation) {
  for (const double a : schedule.alphas_cumprod()) {
    const double signal = a > 0 ? a : 0x1p-24;
    sigmas_.push_back(std::sqrt((1 - signal) / signal));
  }
}

double SigmaTable::sigma(double t) const {
  const double last = static_cast<double>(num_timesteps() - 1);
  check(t >= 0 && t <= last, "sigma table: t must lie in [0, ", last, "], got ", t);
  const auto below = static_cast<size_t>(t), above = std::min(below + 1, sigmas_.size() - 1);
  if (static_cast<double>(below) == t) return sigmas_[below];
  return between(interpolation_, sigmas_[below], sigmas_[above], t - static_cast<double>(below));
}

double SigmaTable::time(double sigma) const {
  check(sigma > 0, "sigma table: only a positive sigma has a time, got ", sigma);
  // The last level rises above the others, unless it is a stand-in for infinity: then it is searched by itself.
  const auto last = sigmas_.end() - 1;
  if (sigma == *last) return static_cast<double>(num_timesteps() - 1);
  const auto above = std::lower_bound(sigmas_.begin(), last, sigma);
  if (above == sigmas_.begin()) return 0;
  if (above == last && sigma > *last) return static_cast<double>(num_timesteps() - 1);
  const double high = *above, low = *(above - 1);
  const double fraction = interpolation_ == SigmaInterpolation::linear ? (sigma - low) / (high - low)
                                                                       : std::log(sigma / low) / std::log(high / low);
  return static_cast<double>(above - sigmas_.begin() - 1) + fraction;
}

std::vector<double> sigma_grid(const SigmaTable& table, const SigmaGridOptions& options) {
  const int64_t total = table.num_timesteps(), steps = options.steps == 0 ? total : options.steps;
  check(steps >= 1 && steps <= total, "sigma_grid: steps must lie in 1..", total, ", got ", steps);
  const auto last = static_cast<double>(total - 1);
  if (options.spacing == SigmaSpacing::karras) {
    return karras_sigmas(steps, table.sigma(0), table.sigma(last), options.rho, options.to_zero);
  }
  std::vector<double> sigmas;
  if (options.spacing == SigmaSpacing::linspace) {
    for (const double t : even_timesteps(total - 1, steps, options)) sigmas.push_back(table.sigma(t));
  } else {
    const bool leading = options.spacing == SigmaSpacing::leading;
    const int64_t extra = leading && options.leave_out_lowest && steps < total ? 1 : 0;
    auto times = sampling_timesteps(total, {.steps = steps + extra,
                                            .spacing = leading ? TimestepSpacing::leading : TimestepSpacing::trailing,
                                            .steps_offset = leading ? options.steps_offset : 0});
    times.resize(static_cast<size_t>(steps));
    for (const int64_t t : times) sigmas.push_back(table.sigma(static_cast<double>(t)));
  }
  if (options.to_zero) sigmas.push_back(0);
  return sigmas;
}

std::string_view name_of(SigmaSpacing spacing) {
  switch (spacing) {
    case SigmaSpacing::leading: return "leading";
    case SigmaSpacing::trailing: return "trailing";
    case SigmaSpacing::linspace: return "linspace";
    case SigmaSpacing::karras: return "karras";
  }
  return "?";
}

SigmaSpacing parse_sigma_spacing(std::string_view name) {
  using enum SigmaSpacing;
  for (const auto spacing : {leading, trailing, linspace, karras}) {
    if (name == name_of(spacing)) return spacing;
  }
  detail::fail("spacing: unknown value \"", name, "\" (leading, trailing, linspace and karras are supported)");
}

}  // namespace sfumato
