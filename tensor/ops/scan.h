// Scans: every prefix of a line reduced, along one dimension. With `reverse` they run from the back.
//
//   Tensor alphas_cumprod = cumprod(1.0 - betas, 0);
//
// Reals accumulate in f64, bf16 is rounded once. Declared for f32, f64 and bf16; [int] for i64, i32, u8 and bool too.
#pragma once

#include "tensor/ops/reduce.h"

namespace sfumato {

// Running sum and product; of integers in i64, where they wrap around.
Tensor cumsum(const Tensor& x, int64_t dim, bool reverse = false);   // [int]
Tensor cumprod(const Tensor& x, int64_t dim, bool reverse = false);  // [int]
// log(cumsum(exp(x))) without overflow.
Tensor logcumsumexp(const Tensor& x, int64_t dim);
// The largest or smallest element so far; of equal ones the last counts, and NaN wins, as in PyTorch.
IndexedResult cummax(const Tensor& x, int64_t dim);  // [int]
IndexedResult cummin(const Tensor& x, int64_t dim);  // [int]
// h[t] = a[t] h[t-1] + b[t] along `dim`, with h = 0 before the first: the linear recurrence, whose gradients are linear
// recurrences again. a and b have one shape and dtype.
Tensor linear_scan(const Tensor& a, const Tensor& b, int64_t dim, bool reverse = false);

}  // namespace sfumato
