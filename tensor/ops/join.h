// Joining, padding and reordering: ops that move elements into a new tensor.
//
//   Tensor h = cat({h, skip}, 1);
//   Tensor p = pad(x, {0, 1, 0, 1});        // last dimension first: left, right, then top, bottom (as PyTorch)
#pragma once

#include <initializer_list>
#include <span>

#include "tensor/tensor.h"

namespace sfumato {

// Shapes must agree in every other dimension; dtypes meet in promote_types(). Throws on an empty list.
Tensor cat(std::span<const Tensor> tensors, int64_t dim);
Tensor cat(std::initializer_list<Tensor> tensors, int64_t dim);
// Along a new dimension; all shapes equal.
Tensor stack(std::span<const Tensor> tensors, int64_t dim);
Tensor stack(std::initializer_list<Tensor> tensors, int64_t dim);
// `amounts` are pairs (before, after), the last dimension's pair first; negative amounts crop.
Tensor pad(const Tensor& x, const Dims& amounts, double value = 0);
Tensor flip(const Tensor& x, const Dims& dims);

}  // namespace sfumato
