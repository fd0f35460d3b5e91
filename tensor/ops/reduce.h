// Reductions. `dim` lists the dimensions to reduce (negative ones count from the end; an empty list means all of them);
// with keepdim they stay with size 1.
//
//   Tensor m = mean(x, {0, 2, 3}, /*keepdim=*/true);
//   auto [values, indices] = max(scores, /*dim=*/1);
//
// Sums run over fixed chunks that depend on the shape alone, so a result does not depend on the number of threads.
// Reals are summed in f64 (f32 in short chunks first), bf16 is summed in f32 and rounded once. Ops are declared for
// f32, f64 and bf16; those marked [int] for i64, i32, u8 and bool too.
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// Sums and products of integers and bools are i64, and wrap around. Of nothing: 0 and 1.
Tensor sum(const Tensor& x);  // [int]
Tensor sum(const Tensor& x, const Dims& dim, bool keepdim = false);
Tensor prod(const Tensor& x);  // [int]
Tensor prod(const Tensor& x, int64_t dim, bool keepdim = false);
// The mean of nothing is NaN.
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, const Dims& dim, bool keepdim = false);
// NaN wins. Throw on an empty reduced dimension.
Tensor amax(const Tensor& x, const Dims& dim = {}, bool keepdim = false);  // [int]
Tensor amin(const Tensor& x, const Dims& dim = {}, bool keepdim = false);  // [int]
// Sum of squared deviations from the mean, divided by count - correction (1: unbiased, 0: biased); NaN when that is not
// positive. Accurate for data far from 0.
Tensor var(const Tensor& x, const Dims& dim = {}, int64_t correction = 1, bool keepdim = false);

// Values along one dimension, and where they stand: what max(), sort() and their like return.
struct IndexedResult {
  Tensor values;
  Tensor indices;  // i64
};
// The first largest or smallest element along `dim`; the first NaN where there is one. Throw when it is empty.
IndexedResult max(const Tensor& x, int64_t dim, bool keepdim = false);  // [int]
IndexedResult min(const Tensor& x, int64_t dim, bool keepdim = false);  // [int]
// The index (i64) alone; without `dim` that in the flattened tensor.
Tensor argmax(const Tensor& x);  // [int]
Tensor argmax(const Tensor& x, int64_t dim, bool keepdim = false);
Tensor argmin(const Tensor& x);  // [int]
Tensor argmin(const Tensor& x, int64_t dim, bool keepdim = false);

// Whether any or every element is true, that is not 0: bool. Of nothing: false and true.
Tensor any(const Tensor& x, const Dims& dim = {}, bool keepdim = false);  // [int]
Tensor all(const Tensor& x, const Dims& dim = {}, bool keepdim = false);  // [int]
// How many elements are not 0: i64.
Tensor count_nonzero(const Tensor& x, const Dims& dim = {}, bool keepdim = false);  // [int]

// Sums a broadcast result back to `shape`, the adjoint of expand(). [int]
Tensor sum_to(const Tensor& x, const Shape& shape);

// The bits of `dims` (all when empty), checked against the rank; shared with the autograd side.
uint32_t dim_mask(std::string_view op, const Dims& dims, int rank);
// The shape with the masked dimensions at size 1 (keepdim) or removed.
Shape reduced_shape(const Shape& shape, uint32_t mask, bool keepdim);
// How many elements of `shape` the masked dimensions have together.
int64_t reduced_count(const Shape& shape, uint32_t mask);

}  // namespace sfumato
