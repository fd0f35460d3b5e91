// Reductions of Variables; names, dims and keepdim as in "tensor/ops/reduce.h".
//
//   Variable loss = mean(square(prediction - target));
//
// amax and amin share the gradient equally among equal extrema, as PyTorch does; max and min give it to the one that
// they name. Ops without a gradient (argmax, any, count_nonzero, ...) are called on `.tensor()`.
#pragma once

#include "autograd/ops/indexed.h"
#include "autograd/variable.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

struct IndexedVariables;  // of "autograd/ops/indexed.h", for when that header itself has asked for this one

Variable sum(const Variable& x);
Variable sum(const Variable& x, const Dims& dim, bool keepdim = false);
// The gradient is right where elements are 0: each one's is the product of the others.
Variable prod(const Variable& x);
Variable prod(const Variable& x, int64_t dim, bool keepdim = false);
Variable mean(const Variable& x);
Variable mean(const Variable& x, const Dims& dim, bool keepdim = false);
Variable amax(const Variable& x, const Dims& dim = {}, bool keepdim = false);
Variable amin(const Variable& x, const Dims& dim = {}, bool keepdim = false);
IndexedVariables max(const Variable& x, int64_t dim, bool keepdim = false);
IndexedVariables min(const Variable& x, int64_t dim, bool keepdim = false);
// The sum with every NaN taken for 0.
Variable nansum(const Variable& x, const Dims& dim = {}, bool keepdim = false);
// Sums a broadcast result back to `shape`: the adjoint of expand(), and the engine's own tool.
Variable sum_to(const Variable& x, const Shape& shape);

}  // namespace sfumato
