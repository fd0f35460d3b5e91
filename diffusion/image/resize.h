// Resizing and cropping of pixels.
//
//   Tensor square = resize_to_square(pixels, 64);      // u8 (H, W, C) -> u8 (64, 64, C)
//
// The filter is a triangle, widened by the scale when shrinking so that every pixel counts (no aliasing): output pixel
// i of n, from m inputs, with s = m / n, is the mean of the inputs j weighted by
//
//   w_j = max(0, 1 - |j + 1/2 - (i + 1/2) s| / max(s, 1))
//
// first along the rows, then along the columns. This is Pillow's BILINEAR and torch's interpolate(mode="bilinear",
// antialias=True); unlike Pillow we round to bytes once, at the end, so results may differ from its by 1.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace sfumato {

// u8 (H, W, C) to u8 (height, width, C). Throws Error for another dtype or rank, or for sizes below 1.
Tensor resize(const Tensor& pixels, int64_t height, int64_t width);

// Resizes the shorter side to `size` and the longer in proportion (rounded down, as torchvision's Resize does), then
// cuts the middle out (an odd rest goes below and to the right). Only what is kept is computed. u8 (H, W, C) to u8
// (size, size, C). Throws as resize() does.
Tensor resize_to_square(const Tensor& pixels, int64_t size);

}  // namespace sfumato
