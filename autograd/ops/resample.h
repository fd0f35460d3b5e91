// Resampling of images on Variables: the ops of "tensor/ops/resample.h" with their gradients.
//
//   Variable big = upsample_nearest2d(x, 2);                                  // (N, C, H, W) -> (N, C, 2H, 2W)
//   Variable exact = interpolate(x, {24, 32}, Interpolation::bilinear);
//   Variable half = avg_pool2d(x, 3, {.stride = 2, .padding = 1});
//
// Linear maps along a dimension are each other's gradients by transposing, so every order of derivative exists.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/resample.h"

namespace sfumato {

// x with the map applied along `dim`; the gradient applies its transpose.
Variable resample_dim(const Variable& x, int64_t dim, const AxisMap& map);

Variable upsample_nearest2d(const Variable& x, const Pair2d& scale);
Variable upsample_nearest2d_backward(const Variable& dy, const Pair2d& scale);
// align_corners = false, PyTorch's default.
Variable upsample_bilinear2d(const Variable& x, const Pair2d& scale, bool align_corners = false);
Variable upsample_bicubic2d(const Variable& x, const Pair2d& scale, bool align_corners = false);
// To `size` (height, width), larger or smaller. Shrinking does not average: it takes what lies at each position.
Variable interpolate(const Variable& x, const Pair2d& size, Interpolation mode, bool align_corners = false);

Variable avg_pool2d(const Variable& x, const Pair2d& kernel, const Pool2dOptions& options = {});
Variable adaptive_avg_pool2d(const Variable& x, const Pair2d& size);
// The gradient goes to each window's first maximum.
Variable max_pool2d(const Variable& x, const Pair2d& kernel, const Pool2dOptions& options = {});
Variable adaptive_max_pool2d(const Variable& x, const Pair2d& size);

// The same with the stride as a number.
inline Variable avg_pool2d(const Variable& x, const Pair2d& kernel, int64_t stride) {
  return avg_pool2d(x, kernel, Pool2dOptions{.stride = stride});
}
inline Variable max_pool2d(const Variable& x, const Pair2d& kernel, int64_t stride, int64_t padding = 0) {
  return max_pool2d(x, kernel, Pool2dOptions{.stride = stride, .padding = padding});
}

}  // namespace sfumato
