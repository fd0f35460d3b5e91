// The Cholesky factorisation of one small matrix, in place, row-major, in f64.
//
//   std::vector<double> a{4, 2, 2, 3};
//   cholesky(a, 2);                      // a = L = {2, 0, 1, sqrt(2)}: A = L L^T
//   cholesky_solve(a, b);                // b <- A^-1 b
#pragma once

#include <cmath>
#include <span>

#include "tensor/check.h"

namespace sfumato {

// Overwrites a symmetric positive semidefinite matrix with L; what is above the diagonal becomes 0. Throws otherwise.
inline void cholesky(std::span<double> a, size_t n) {
  for (size_t j = 0; j < n; ++j) {
    double pivot = a[j * n + j];
    for (size_t k = 0; k < j; ++k) pivot -= a[j * n + k] * a[j * n + k];
    check(pivot >= 0, "cholesky: the matrix is not positive semidefinite, pivot ", j, " is ", pivot);
    a[j * n + j] = std::sqrt(pivot);
    for (size_t i = j + 1; i < n; ++i) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = pivot > 0 ? sum / a[j * n + j] : 0;
      a[j * n + i] = 0;
    }
  }
}

// b <- L^-1 b.
inline void cholesky_forward(std::span<const double> lower, std::span<double> b) {
  const size_t n = b.size();
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= lower[i * n + k] * b[k];
    b[i] /= lower[i * n + i];
  }
}

// b <- (L L^T)^-1 b.
inline void cholesky_solve(std::span<const double> lower, std::span<double> b) {
  const size_t n = b.size();
  cholesky_forward(lower, b);
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= lower[k * n + i] * b[k];
    b[i] /= lower[i * n + i];
  }
}

// log det(L L^T).
inline double cholesky_log_determinant(std::span<const double> lower, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; ++i) sum += 2 * std::log(lower[i * n + i]);
  return sum;
}

}  // namespace sfumato
