// Changing an image's resolution: nearest and bilinear upsampling, average and max pooling, with their adjoints.
//
//   Tensor big = upsample_nearest2d(x, 2);       // (N, C, H, W) -> (N, C, 2H, 2W)
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

Tensor upsample_nearest2d(const Tensor& x, int64_t scale);
// Sums each pixel's scale x scale copies.
Tensor upsample_nearest2d_backward(const Tensor& dy, int64_t scale);
// Pixel centres lie at i + 1/2; with align_corners the first and last pixels of input and output coincide (PyTorch's
// two conventions).
Tensor upsample_bilinear2d(const Tensor& x, int64_t scale, bool align_corners = false);
Tensor upsample_bilinear2d_backward(const Tensor& dy, int64_t scale, bool align_corners = false);
Tensor avg_pool2d(const Tensor& x, int64_t kernel, int64_t stride);
Tensor avg_pool2d_backward(const Tensor& dy, const Shape& input_shape, int64_t kernel, int64_t stride);

struct MaxPoolResult {
  Tensor out;
  Tensor index;  // i64, where each maximum lies in its H*W plane (the first among equals)
};
// Padding counts as minus infinity.
MaxPoolResult max_pool2d(const Tensor& x, int64_t kernel, int64_t stride, int64_t padding);

}  // namespace sfumato
