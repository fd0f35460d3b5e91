// Run kernels of the fast elementwise ops, one set per instruction set (backend/fast/isa.h).
#pragma once

#include <cstdint>

#include "tensor/backend/op_codes.h"

namespace sfumato::fast {

// out[i] = op(x[i * stride]) for i < n; strides of 0 (one value for all) and 1 are the quick ones.
#define SFUMATO_ELEMENTWISE_KERNELS                                                                            \
  void unary_run(UnaryOp op, float a, float b, const float* x, int64_t stride, float* out, int64_t n);         \
  void binary_run(BinaryOp op, const float* a, int64_t stride_a, const float* b, int64_t stride_b, float* out, \
                  int64_t n);

namespace avx512 {
SFUMATO_ELEMENTWISE_KERNELS
}
namespace avx2 {
SFUMATO_ELEMENTWISE_KERNELS
}
namespace baseline {
SFUMATO_ELEMENTWISE_KERNELS
}
#undef SFUMATO_ELEMENTWISE_KERNELS

}  // namespace sfumato::fast
