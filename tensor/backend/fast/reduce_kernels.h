// Row kernels of the fast reductions, one set per instruction set (backend/fast/isa.h).
#pragma once

#include <cstdint>

#include "tensor/backend/op_codes.h"

namespace sfumato::fast {

#define SFUMATO_REDUCE_KERNELS                                                            \
  /* Combines n floats into one; the order of additions depends on n alone. n > 0. */     \
  float reduce_row(ReduceOp op, const float* x, int64_t n);                               \
  /* out[j] = combination over r of x[r * stride + j], j < n; rows in order. rows > 0. */ \
  void reduce_rows(ReduceOp op, const float* x, int64_t rows, int64_t stride, float* out, int64_t n);

namespace avx512 {
SFUMATO_REDUCE_KERNELS
}
namespace avx2 {
SFUMATO_REDUCE_KERNELS
}
namespace baseline {
SFUMATO_REDUCE_KERNELS
}
#undef SFUMATO_REDUCE_KERNELS

}  // namespace sfumato::fast
