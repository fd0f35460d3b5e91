// What the tests of matmul and conv share: random tensors and one measure of difference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tensor/backend/backend.h"
#include "tensor/tensor.h"

namespace sfumato::testing {

// Values in [-1, 1) from a linear congruential generator; exact in f32, so that f32 and f64 runs see the same numbers.
inline Tensor random_tensor(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  uint64_t state = seed * 2654435761u + 12345;
  for (double& value : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    value = static_cast<double>(state >> 44) / (1 << 19) - 1;
  }
  return tensor_of(values, shape, dtype);
}

// The largest |actual - expected|, relative to the largest |expected|; infinite when shapes differ or a NaN appears.
inline double difference(const Tensor& actual, const Tensor& expected) {
  if (actual.shape() != expected.shape()) {
    return std::numeric_limits<double>::infinity();
  }
  const std::vector<double> a = actual.to_vector(), b = expected.to_vector();
  double error = 0, largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) {
      return std::numeric_limits<double>::infinity();
    }
    error = std::max(error, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  return largest > 0 ? error / largest : error;
}

inline std::vector<Backend> backends() {
  return fast_backend_available() ? std::vector{Backend::reference, Backend::fast} : std::vector{Backend::reference};
}

// Sums in f32 of a few thousand products of numbers below 1 stay within this of f64, relative to the largest result.
inline constexpr double kF32Tolerance = 3e-6;

}  // namespace sfumato::testing
