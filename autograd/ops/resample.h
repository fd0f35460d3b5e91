// Resampling of images on Variables: the ops of "tensor/ops/resample.h" with their gradients.
//
//   Variable big = upsample_nearest2d(x, 2);       // (N, C, H, W) -> (N, C, 2H, 2W)
//
// The linear ops come in pairs, op and adjoint, each of which is the other's gradient.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/resample.h"

namespace sfumato {

Variable upsample_nearest2d(const Variable& x, int64_t scale);
Variable upsample_nearest2d_backward(const Variable& dy, int64_t scale);
// align_corners = false, PyTorch's default.
Variable upsample_bilinear2d(const Variable& x, int64_t scale, bool align_corners = false);
Variable upsample_bilinear2d_backward(const Variable& dy, int64_t scale, bool align_corners = false);
Variable avg_pool2d(const Variable& x, int64_t kernel, int64_t stride);
Variable avg_pool2d_backward(const Variable& dy, const Shape& input_shape, int64_t kernel, int64_t stride);
// The gradient goes to each window's first maximum.
Variable max_pool2d(const Variable& x, int64_t kernel, int64_t stride, int64_t padding = 0);

}  // namespace sfumato
