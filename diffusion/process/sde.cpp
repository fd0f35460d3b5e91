#include "diffusion/process/sde.h"

#include <algorithm>
#include <cmath>

#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

// beta(t) and its integral, for the two that share them.
struct Rate {
  double min, max;
  double at(double t) const { return min + t * (max - min); }
  double integral(double t) const { return t * min + t * t * (max - min) / 2; }
};

Rate rate(std::string_view op, double beta_min, double beta_max) {
  check(beta_min > 0 && beta_max >= beta_min && std::isfinite(beta_max), op, ": needs 0 < beta_min <= beta_max, got ",
        beta_min, " and ", beta_max);
  return {beta_min, beta_max};
}

}  // namespace

Tensor LinearSde::reverse_drift(const Tensor& x, const Tensor& score, double t, double share) const {
  const double g = diffusion(t);
  return x * drift(t) - score * (share * g * g);
}

NoiseLevel LinearSde::transition(double s, double t) const {
  check(0 <= s && s <= t && t <= 1, name, ": a transition needs 0 <= s <= t <= 1, got ", s, " and ", t);
  const NoiseLevel from = level(s), to = level(t);
  const double keep = to.signal / from.signal;
  return {keep, std::sqrt(std::max(to.noise * to.noise - keep * keep * from.noise * from.noise, 0.0))};
}

LinearSde vp_sde(double beta_min, double beta_max) {
  const Rate beta = rate("vp_sde", beta_min, beta_max);
  return {.name = "vp_sde",
          .drift = [=](double t) { return -beta.at(t) / 2; },
          .diffusion = [=](double t) { return std::sqrt(beta.at(t)); },
          .level =
              [=](double t) {
                const double total = beta.integral(t);
                return NoiseLevel{std::exp(-total / 2), std::sqrt(-std::expm1(-total))};
              }};
}

LinearSde sub_vp_sde(double beta_min, double beta_max) {
  const Rate beta = rate("sub_vp_sde", beta_min, beta_max);
  return {.name = "sub_vp_sde",
          .drift = [=](double t) { return -beta.at(t) / 2; },
          .diffusion = [=](double t) { return std::sqrt(beta.at(t) * -std::expm1(-2 * beta.integral(t))); },
          .level =
              [=](double t) {
                const double total = beta.integral(t);
                return NoiseLevel{std::exp(-total / 2), -std::expm1(-total)};
              }};
}

LinearSde ve_sde(double sigma_min, double sigma_max) {
  check(sigma_min > 0 && sigma_max > sigma_min && std::isfinite(sigma_max),
        "ve_sde: needs 0 < sigma_min < sigma_max, got ", sigma_min, " and ", sigma_max);
  const double growth = std::log(sigma_max / sigma_min);
  return {.name = "ve_sde",
          .drift = [](double) { return 0.0; },
          .diffusion = [=](double t) { return sigma_min * std::exp(growth * t) * std::sqrt(2 * growth); },
          .level =
              [=](double t) {
                return NoiseLevel{1, sigma_min * std::sqrt(std::expm1(2 * growth * t))};
              },
          .prior_stddev = sigma_max};
}

LinearSde edm_sde(double sigma_max) {
  check(sigma_max > 0 && std::isfinite(sigma_max), "edm_sde: sigma_max must be positive, got ", sigma_max);
  return {.name = "edm_sde",
          .drift = [](double) { return 0.0; },
          .diffusion = [=](double t) { return sigma_max * std::sqrt(2 * t); },
          .level =
              [=](double t) {
                return NoiseLevel{1, sigma_max * t};
              },
          .prior_stddev = sigma_max};
}

}  // namespace sfumato
