// What the oracle tests share: Ho et al.'s schedule, lecture indices, and exact expectations.
#pragma once

#include <cmath>
#include <functional>
#include <numbers>

#include "catch.h"
#include "diffusion/schedule/noise_schedule.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/tensor.h"

namespace sfumato::oracle_tests {

inline const NoiseSchedule& ho() {
  static const NoiseSchedule schedule = linear_schedule(1000);
  return schedule;
}

// A, alpha and beta of the lectures' t = 1..T, from the betas alone (t = 0: the data).
struct Lecture {
  std::vector<double> beta{0}, alpha{1}, A{1};
  Lecture() {
    for (int t = 1; t <= 1000; ++t) {
      beta.push_back(1e-4 + (0.02 - 1e-4) * (t - 1) / 999);
      alpha.push_back(1 - beta.back());
      A.push_back(A.back() * alpha.back());
    }
  }
  // Marginal variance of data with variance s2, and the variance of the true reverse step.
  double v(size_t t, double s2) const { return A[t] * s2 + 1 - A[t]; }
  double tau(size_t t, double s2) const { return beta[t] * v(t - 1, s2) / v(t, s2); }
  double posterior_variance(size_t t) const { return beta[t] * (1 - A[t - 1]) / (1 - A[t]); }
};

inline const Lecture& lecture() {
  static const Lecture values;
  return values;
}

// Four pairs (x_0, noise) over which the mean of any quadratic is its expectation under N(m, s²) x N(0, 1): the
// two-point Gauss-Hermite rule, exact up to degree three.
struct Quadrature {
  Tensor x0, noise;
};
inline Quadrature quadrature(double m, double s) {
  return {tensor_of({m - s, m - s, m + s, m + s}, {4, 1}, DType::f64), tensor_of({-1, 1, -1, 1}, {4, 1}, DType::f64)};
}

inline Tensor row(std::initializer_list<double> values) {
  return tensor_of(values, {static_cast<int64_t>(values.size()), 1}, DType::f64);
}

inline double normal_log_density(double x, double mean, double variance) {
  return -0.5 * ((x - mean) * (x - mean) / variance + std::log(2 * std::numbers::pi * variance));
}

// All entries of a tensor against numbers, to `digits` relative to the largest of them.
inline void check_close(const Tensor& found, const std::vector<double>& wanted, double tolerance) {
  const auto values = found.to_vector();
  REQUIRE(values.size() == wanted.size());
  double largest = 0;
  for (const double value : wanted) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < wanted.size(); ++i)
    CHECK(values[i] == Approx(wanted[i]).epsilon(0).margin(tolerance * largest));
}

}  // namespace sfumato::oracle_tests
