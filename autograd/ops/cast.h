// to(): a tensor in another dtype, with a gradient that comes back in the dtype that it left.
//
//   Variable half = to(weight, DType::bf16);     // autocast does this for you ("autograd/autocast.h")
#pragma once

#include "autograd/variable.h"

namespace sfumato {

// x itself when it has the dtype already. From an integer or bool tensor nothing is recorded; to one the gradient ends.
Variable to(const Variable& x, DType dtype);

// x in f32, undefined where x is: for ops that compute bf16 in f32, forwards and backwards, and round once.
//   if (x.dtype() == DType::bf16) return to(norm(widened(x), p), DType::bf16);
Variable widened(const Variable& x);

}  // namespace sfumato
