// Reductions. `dim` lists the dimensions to reduce (negative ones count from the end; an empty list means all of them);
// with keepdim they stay with size 1.
//
//   Tensor m = mean(x, {0, 2, 3}, /*keepdim=*/true);
//
// Sums run over fixed chunks that depend on the shape alone, so a result does not depend on the number of threads.
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

Tensor sum(const Tensor& x);
Tensor sum(const Tensor& x, const Dims& dim, bool keepdim = false);
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, const Dims& dim, bool keepdim = false);
// Throw on an empty reduced dimension.
Tensor amax(const Tensor& x, const Dims& dim = {}, bool keepdim = false);
Tensor amin(const Tensor& x, const Dims& dim = {}, bool keepdim = false);
// The index (i64) of the first largest element along `dim`.
Tensor argmax(const Tensor& x, int64_t dim, bool keepdim = false);

// Whether any or every element is true, that is not 0: bool, for every dtype. Of nothing: false and true.
Tensor any(const Tensor& x, const Dims& dim = {}, bool keepdim = false);
Tensor all(const Tensor& x, const Dims& dim = {}, bool keepdim = false);

// Sums a broadcast result back to `shape`, the adjoint of expand().
Tensor sum_to(const Tensor& x, const Shape& shape);

// Running sum along `dim`, from the front or (reverse) from the back.
Tensor cumsum(const Tensor& x, int64_t dim, bool reverse = false);

// The bits of `dims` (all when empty), checked against the rank; shared with the autograd side.
uint32_t dim_mask(std::string_view op, const Dims& dims, int rank);
// The shape with the masked dimensions at size 1 (keepdim) or removed.
Shape reduced_shape(const Shape& shape, uint32_t mask, bool keepdim);

}  // namespace sfumato
