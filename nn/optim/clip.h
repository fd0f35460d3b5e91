// Clipping by the global norm of the gradients (Pascanu et al. 2013), as PyTorch's clip_grad_norm_.
//
//   const double norm = gradient_norm(tree.total());
//   adam.step(tree.total(), lr, clip_coefficient(norm, 1.0));       // scaled while it is read: no pass of its own
#pragma once

#include <cmath>

#include "tensor/ops/optim.h"

namespace sfumato {

// The Euclidean norm of a flat f32 buffer: squares summed in f64 over a fixed tree, so it depends on nothing else.
inline double gradient_norm(const Tensor& gradients) { return std::sqrt(sum_of_squares(gradients)); }

// What gradients of norm `norm` are to be multiplied by: min(1, max_norm / (norm + 1e-6)). NaN stays NaN.
inline double clip_coefficient(double norm, double max_norm) {
  const double coefficient = max_norm / (norm + 1e-6);
  return coefficient > 1.0 ? 1.0 : coefficient;
}

}  // namespace sfumato
