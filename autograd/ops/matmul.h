// Matrix products of Variables; shapes and broadcasting as in "tensor/ops/matmul.h".
//
//   Variable scores = matmul(q, transpose(k, -2, -1)) * scale;
//   Variable y = linear(x, weight, bias);
//
// With C = A B: dA = dC B^T and dB = A^T dC, the transposes being views.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/matmul.h"

namespace sfumato {

Variable matmul(const Variable& a, const Variable& b);
// x (..., I), weight (O, I), bias (O) or undefined: (..., O).
Variable linear(const Variable& x, const Variable& weight, const Variable& bias = {});

}  // namespace sfumato
