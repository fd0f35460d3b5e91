// bf16 is computed in f32 and rounded once: how an op whose kernels know f32 and f64 says so.
//
//   if (x.dtype() == DType::bf16) return linear(widened(x), widened(weight), widened(bias)).to(DType::bf16);
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// x in f32; undefined where x is.
inline Tensor widened(const Tensor& x) { return x.defined() ? x.to(DType::f32) : x; }

}  // namespace sfumato
