// Kernels of the fast group norm and softmax, one set per instruction set (backend/fast/isa.h).
#pragma once

#include <cstdint>

namespace sfumato::fast {

// One group norm: the pointers of a whole tensor. weight and bias may be null (ones and zeros).
struct GroupNormCall {
  int64_t channels, groups, plane;  // plane: elements per channel, H * W
  float eps;
  bool silu;
  const float* x;
  const float* weight;
  const float* bias;
  float* mean;  // (N, groups); written by the forward pass, read by the backward pass
  float* rstd;
  float* out;  // forward only
  // Backward only: the last two (N, C) hold each sample's part of the gradients of weight and bias, in f64.
  const float* dy;
  float* dx;
  double* dweight;
  double* dbias;
};

#define SFUMATO_NORM_KERNELS                                                       \
  /* Groups begin..end-1 of the N * groups. */                                     \
  void group_norm(const GroupNormCall& call, int64_t begin, int64_t end);          \
  void group_norm_backward(const GroupNormCall& call, int64_t begin, int64_t end); \
  /* Rows of n > 0 elements. */                                                    \
  void softmax_rows(const float* x, float* out, int64_t rows, int64_t n);          \
  void softmax_backward_rows(const float* y, const float* dy, float* dx, int64_t rows, int64_t n);

namespace avx512 {
SFUMATO_NORM_KERNELS
}
namespace avx2 {
SFUMATO_NORM_KERNELS
}
namespace baseline {
SFUMATO_NORM_KERNELS
}
#undef SFUMATO_NORM_KERNELS

}  // namespace sfumato::fast
