// Matrix products.
//
//   Tensor c = matmul(a, b);                 // (..., M, K) x (..., K, N), batch dimensions broadcast
//   Tensor y = linear(x, weight, bias);      // x (..., I), weight (O, I), bias (O): x weight^T + bias
//
// matmul follows numpy: a vector on the left is a row, on the right a column, and its dimension disappears.
// Transposed views are multiplied in place, without a copy. All arguments have one dtype, f32, f64 or bf16 (computed in
// f32 and rounded once).
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

Tensor matmul(const Tensor& a, const Tensor& b);
// `bias` may be undefined.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace sfumato
