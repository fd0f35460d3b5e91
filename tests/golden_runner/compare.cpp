#include "tests/golden_runner/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sfumato::golden {

double largest_entry(const Tensor& x) {
  double largest = 0;
  for (const double value : x.to_vector()) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

std::string difference(std::string_view what, const Tensor& ours, const Tensor& wanted, const Bound& bound) {
  if (!ours.defined()) return fmt::format("{} is undefined", what);
  if (!(ours.shape() == wanted.shape())) {
    return fmt::format("{} has shape {}, the reference {}", what, to_string(ours.shape()), to_string(wanted.shape()));
  }
  const auto a = ours.to_vector(), b = wanted.to_vector();
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    const double distance = std::abs(a[i] - b[i]);
    const double error = same ? 0 : std::isfinite(distance) ? distance : std::numeric_limits<double>::infinity();
    if (error > worst) {
      worst = error;
      at = i;
    }
  }
  const double largest = largest_entry(wanted);
  const double allowed = largest > bound.vanishes ? bound.rtol * largest : bound.floor;
  if (worst <= allowed) return {};
  return fmt::format(
      "{}[{}] is {:.9g}, the reference {:.9g}: off by {:.2g} where {:.2g} is allowed (largest entry {:.3g})", what, at,
      a[at], b[at], worst, allowed, largest);
}

}  // namespace sfumato::golden
