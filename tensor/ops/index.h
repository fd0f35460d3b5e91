// Gathering and scattering by integer tensors (i64 or i32). Every index is checked: out of range throws with its value.
//
//   Tensor rows = index_select(table, 0, t);       // alphas_cumprod[t]
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// Slices `index` (rank 1) of dimension `dim`.
Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index);
// out with index's slices added into a zero tensor whose dimension `dim` has `size` entries: index_select's adjoint.
Tensor index_add(const Tensor& source, int64_t dim, const Tensor& index, int64_t size);
// out[i][j] = x[index[i][j]][j] for dim 0, and so on; index has x's rank.
Tensor gather(const Tensor& x, int64_t dim, const Tensor& index);
// Zeros of `shape` with source added at index along dim: gather's adjoint. Deterministic (serial per output row).
Tensor scatter_add(const Tensor& source, int64_t dim, const Tensor& index, const Shape& shape);
// A copy of x with source's elements at index along dim: where gather would read, this writes. Where an index occurs
// twice the later one stays.
Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source);
// Rows of weight (V, D) for an index of any shape: (..., D).
Tensor embedding(const Tensor& weight, const Tensor& index);
// i64 index -> f32 (or dtype) one-hot rows of width num_classes, appended as the last dimension.
Tensor one_hot(const Tensor& index, int64_t num_classes, DType dtype = DType::f32);

}  // namespace sfumato
