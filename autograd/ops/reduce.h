// Reductions of Variables; names, dims and keepdim as in "tensor/ops/reduce.h".
//
//   Variable loss = mean(square(prediction - target));
//
// amax and amin share the gradient equally among equal extrema, as PyTorch does.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

Variable sum(const Variable& x);
Variable sum(const Variable& x, const Dims& dim, bool keepdim = false);
Variable mean(const Variable& x);
Variable mean(const Variable& x, const Dims& dim, bool keepdim = false);
Variable amax(const Variable& x, const Dims& dim = {}, bool keepdim = false);
Variable amin(const Variable& x, const Dims& dim = {}, bool keepdim = false);
// Sums a broadcast result back to `shape`: the adjoint of expand(), and the engine's own tool.
Variable sum_to(const Variable& x, const Shape& shape);

}  // namespace sfumato
