// Changing an image's resolution: nearest and bilinear upsampling, average and max pooling, with their adjoints.
//
//   Tensor big = upsample_nearest2d(x, 2);       // (N, C, H, W) -> (N, C, 2H, 2W)
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

Tensor upsample_nearest2d(const Tensor& x, int64_t scale);
// Sums each pixel's scale x scale copies.
Tensor upsample_nearest2d_backward(const Tensor& dy, int64_t scale);
// align_corners = false, PyTorch's default.
Tensor upsample_bilinear2d(const Tensor& x, int64_t scale);
Tensor upsample_bilinear2d_backward(const Tensor& dy, int64_t scale);
Tensor avg_pool2d(const Tensor& x, int64_t kernel, int64_t stride);
Tensor avg_pool2d_backward(const Tensor& dy, const Shape& input_shape, int64_t kernel, int64_t stride);

struct MaxPoolResult {
  Tensor out;
  Tensor index;  // i64, where each maximum lies in its H*W plane (the first among equals)
};
// Padding counts as minus infinity.
MaxPoolResult max_pool2d(const Tensor& x, int64_t kernel, int64_t stride, int64_t padding);

}  // namespace sfumato
