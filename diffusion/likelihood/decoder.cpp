#include "diffusion/likelihood/decoder.h"

#include <cmath>
#include <numbers>

#include "tensor/ops/view.h"

namespace sfumato {

double log_erfc(double z) {
  if (z < 20) return std::log(std::erfc(z));
  // erfc(z) = e^(-z²) / (z sqrt(pi)) (1 - 1/(2z²) + 3/(4z⁴) - ...)
  const double u = 1 / (2 * z * z);
  return -z * z - std::log(z * std::sqrt(std::numbers::pi)) + std::log1p(-u * (1 - 3 * u * (1 - 5 * u)));
}

namespace {

// log of the standard normal's mass between a and b, a < b; both may be infinite.
double log_mass(double a, double b) {
  if (b <= 0) return log_mass(-b, -a);
  a /= std::numbers::sqrt2;
  b /= std::numbers::sqrt2;
  if (a <= 0) return std::log1p(-0.5 * (std::erfc(b) + std::erfc(-a)));
  const double low = log_erfc(a);
  return low + std::log1p(b == HUGE_VAL ? 0 : -std::exp(log_erfc(b) - low)) - std::numbers::ln2;
}

}  // namespace

Tensor discretized_gaussian_log_likelihood(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  check(x.shape() == mean.shape(), "discretized_gaussian_log_likelihood: x has shape ", x.shape(), " but mean ",
        mean.shape());
  const std::vector<double> means = mean.to_vector(), variances = expand(variance, x.shape()).to_vector();
  std::vector<double> out = x.to_vector();
  constexpr double kHalf = 1.0 / 255;
  for (size_t i = 0; i < out.size(); ++i) {
    check(variances[i] > 0, "discretized_gaussian_log_likelihood: a variance must be positive, got ", variances[i]);
    const double deviation = std::sqrt(variances[i]), residual = out[i] - means[i];
    const double low = out[i] < -1 + kHalf ? -HUGE_VAL : (residual - kHalf) / deviation;
    const double high = out[i] > 1 - kHalf ? HUGE_VAL : (residual + kHalf) / deviation;
    out[i] = log_mass(low, high);
  }
  return tensor_of(out, x.shape(), x.dtype());
}

double bits_per_dim(double nats, int64_t dims, double scale) {
  check(dims >= 1 && scale > 0, "bits_per_dim: needs at least one dimension and a positive scale, got ", dims, " and ",
        scale);
  return nats / (static_cast<double>(dims) * std::numbers::ln2) + std::log2(scale);
}

}  // namespace sfumato
