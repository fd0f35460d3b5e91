// Views: new shapes on the same storage. None of these copies, but reshape() when no view can do it.
//
//   Tensor top = slice(x, 2, 0, 16);       // rows 0..15 of dimension 2
//   Tensor t = permute(x, {0, 2, 3, 1});   // strides change, memory does not
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// One entry of `shape` may be -1 and is inferred. A view where the strides allow it, else a contiguous copy.
Tensor reshape(const Tensor& x, const Shape& shape);
// reshape() of dimensions start..end into one.
Tensor flatten(const Tensor& x, int64_t start = 0, int64_t end = -1);
Tensor permute(const Tensor& x, const Dims& dims);
Tensor transpose(const Tensor& x, int64_t a, int64_t b);
// Size-1 dimensions repeat with stride 0; new leading dimensions may be added; -1 keeps a size.
Tensor expand(const Tensor& x, const Shape& shape);
Tensor unsqueeze(const Tensor& x, int64_t dim);
Tensor squeeze(const Tensor& x, int64_t dim);
// Elements begin, begin + step, ... below end of one dimension; negative bounds count from the end, both are clamped
// to the size (as Python does). Throws when step < 1.
Tensor slice(const Tensor& x, int64_t dim, int64_t begin, int64_t end, int64_t step = 1);
// slice(x, dim, begin, begin + length) with bounds checked, not clamped.
Tensor narrow(const Tensor& x, int64_t dim, int64_t begin, int64_t length);
// Index `i` of one dimension, which disappears.
Tensor select(const Tensor& x, int64_t dim, int64_t i);

}  // namespace sfumato
