// Joining, padding and reordering Variables: the ops of "tensor/ops/join.h" with their gradients.
//
//   Variable h = cat({h, skip}, 1);         // tensors and Variables may be mixed in the list
//
// Each input's gradient is its part of the output's.
#pragma once

#include <initializer_list>
#include <span>

#include "autograd/variable.h"
#include "tensor/ops/join.h"

namespace sfumato {

Variable cat(std::span<const Variable> inputs, int64_t dim);
Variable cat(std::initializer_list<Variable> inputs, int64_t dim);
Variable stack(std::span<const Variable> inputs, int64_t dim);
Variable stack(std::initializer_list<Variable> inputs, int64_t dim);
Variable pad(const Variable& x, const Dims& amounts, double value = 0);
Variable flip(const Variable& x, const Dims& dims);

}  // namespace sfumato
