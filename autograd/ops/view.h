// Views on Variables: the ops of "tensor/ops/view.h" with their gradients. Nothing is copied that is not copied there.
//
//   Variable h = permute(reshape(x, {n, heads, d, s}), {0, 1, 3, 2});
//
// The gradient of a view is the view in reverse; of expand() the sum over the copies; of slice() zeros outside it.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/view.h"

namespace sfumato {

Variable reshape(const Variable& x, const Shape& shape);
Variable flatten(const Variable& x, int64_t start = 0, int64_t end = -1);
Variable permute(const Variable& x, const Dims& dims);
Variable transpose(const Variable& x, int64_t a, int64_t b);
Variable expand(const Variable& x, const Shape& shape);
Variable unsqueeze(const Variable& x, int64_t dim);
Variable squeeze(const Variable& x, int64_t dim);
Variable slice(const Variable& x, int64_t dim, int64_t begin, int64_t end, int64_t step = 1);
Variable narrow(const Variable& x, int64_t dim, int64_t begin, int64_t length);
Variable select(const Variable& x, int64_t dim, int64_t i);

// Zeros of `shape` but for slice(.., dim, begin, end, step), which is `g`: slice()'s adjoint, and slice() is its own.
Variable slice_backward(
    const Variable& g, const Shape& shape, int64_t dim, int64_t begin, int64_t end, int64_t step = 1);

}  // namespace sfumato
