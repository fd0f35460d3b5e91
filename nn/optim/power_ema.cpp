#include "nn/optim/power_ema.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace sfumato {

namespace {

// The integral of the product of two profiles.
double inner_product(const PowerProfile& a, const PowerProfile& b) {
  const double shorter = std::min(a.t, b.t), power = a.gamma + b.gamma + 1;
  return (a.gamma + 1) * (b.gamma + 1) / power * std::pow(shorter / a.t, a.gamma) * std::pow(shorter / b.t, b.gamma) *
         shorter / (a.t * b.t);
}

// x with A x = b by Gaussian elimination with row pivots; the last column of each row is b.
std::vector<double> solve(std::vector<std::vector<double>> rows) {
  const size_t n = rows.size();
  for (size_t k = 0; k < n; ++k) {
    const auto larger = [k](const auto& p, const auto& q) { return std::abs(p[k]) < std::abs(q[k]); };
    std::swap(rows[k], *std::max_element(rows.begin() + static_cast<std::ptrdiff_t>(k), rows.end(), larger));
    check(rows[k][k] != 0, "post_hoc_weights: two snapshots are the same");
    for (size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = rows[i][k] / rows[k][k];
      for (size_t j = k; j <= n; ++j) rows[i][j] -= factor * rows[k][j];
    }
  }
  std::vector<double> x;
  for (size_t k = 0; k < n; ++k) x.push_back(rows[k][n] / rows[k][k]);
  return x;
}

}  // namespace

double power_ema_decay(int64_t t, double gamma) {
  check(t >= 1 && gamma >= 0, "power_ema_decay: needs t >= 1 and gamma >= 0, got ", t, " and ", gamma);
  return std::pow(1 - 1 / static_cast<double>(t), gamma + 1);
}

double power_ema_sigma_rel(double gamma) {
  check(gamma >= 0, "power_ema_sigma_rel: gamma must not be negative, got ", gamma);
  return std::sqrt((gamma + 1) / ((gamma + 2) * (gamma + 2) * (gamma + 3)));
}

double power_ema_gamma(double sigma_rel) {
  check(sigma_rel > 0 && sigma_rel < power_ema_sigma_rel(0), "power_ema_gamma: sigma_rel must lie in (0, ",
        power_ema_sigma_rel(0), "), got ", sigma_rel);
  double low = 0, high = 1 / sigma_rel;  // sigma_rel < 1 / (gamma + 2)
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (power_ema_sigma_rel(middle) > sigma_rel ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::vector<double> post_hoc_weights(std::span<const PowerProfile> snapshots, const PowerProfile& wanted) {
  check(!snapshots.empty(), "post_hoc_weights: there are no snapshots");
  std::vector<std::vector<double>> rows;
  for (const PowerProfile& a : snapshots) {
    check(a.t > 0 && a.gamma >= 0, "post_hoc_weights: a snapshot needs t > 0 and gamma >= 0, got ", a.t, " and ",
          a.gamma);
    std::vector<double> row;
    for (const PowerProfile& b : snapshots) row.push_back(inner_product(a, b));
    row.push_back(inner_product(a, wanted));
    rows.push_back(row);
  }
  return solve(std::move(rows));
}

}  // namespace sfumato
