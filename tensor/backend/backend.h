// The backend seam: every computing kernel exists twice, as a plain reference and as a fast version.
//
// `reference::` computes in f32 and f64 with loops that read like the formula (elementwise ops also on bf16 and
// integers); it is the oracle of the other side and is kept forever. `fast::` holds oneDNN (tensor/backend/onednn/) and
// our own vector kernels (tensor/backend/fast/), in f32. Both speak Tensor and option structs, take outputs that the op
// has allocated, and trust the op's checks.
//
//   Tensor exp(const Tensor& x) {
//     Tensor out = empty_like(x);
//     use_fast(x.dtype()) ? fast::unary(UnaryOp::exp, {}, x, out) : reference::unary(UnaryOp::exp, {}, x, out);
//     return out;
//   }
//
// SFUMATO_BACKEND=reference|fast selects; a build without fast kernels (the `reference` preset) has only the first.
#pragma once

#include "tensor/backend/op_codes.h"
#include "tensor/pair.h"
#include "tensor/tensor.h"

namespace sfumato {

enum class Backend { reference, fast };

// The backend in force: a BackendScope of this thread, else SFUMATO_BACKEND, else fast where it is built in.
Backend backend();
bool fast_backend_available();

// Selects a backend for this thread while it lives.
class BackendScope {
 public:
  explicit BackendScope(Backend wanted);
  ~BackendScope();
  BackendScope(const BackendScope&) = delete;
  BackendScope& operator=(const BackendScope&) = delete;

 private:
  int previous_;
};

// Whether the fast kernel shall run. When the fast backend is in force but the kernel does not exist for this dtype,
// the call is counted as a fallback and the reference runs.
bool use_fast(DType dtype, DTypeSet kernels = {DType::f32});
uint64_t fallback_count();
void reset_fallback_count();

// ---- elementwise (ops/elementwise.h) ----
// The fast kernels compute in f32; bf16 is widened and rounded on the way, block by block.
inline constexpr DTypeSet kFastElementwise{DType::f32, DType::bf16};
// UnaryOp, UnaryArgs, BinaryOp, CompareOp: "tensor/backend/op_codes.h".

// ---- reductions (ops/reduce.h) ----
// ReduceOp: the same place.

// ---- convolution (ops/conv.h) ----
struct Conv2dOptions {
  Pair2d stride = 1;
  Pair2d padding = 0;       // at every edge
  Pair2d padding_end = -1;  // at the bottom and right edge; -1 means the same as `padding`
  Pair2d dilation = 1;
  int64_t groups = 1;
  Pair2d end() const {
    return {padding_end.height < 0 ? padding.height : padding_end.height,
            padding_end.width < 0 ? padding.width : padding_end.width};
  }
};

// ---- group norm (ops/norm.h) ----
struct GroupNormOptions {
  int64_t num_groups = 1;
  double eps = 1e-5;
  bool silu = false;  // apply SiLU to the result in the same pass
};

// Kernels of either side. `out` arguments are contiguous and have the result's shape and the inputs' dtype.
#define SFUMATO_KERNELS                                                                                              \
  void unary(UnaryOp op, UnaryArgs args, const Tensor& x, Tensor& out);                                              \
  void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out);                                           \
  /* out has size 1 in every dimension of x whose bit is set in dim_mask. */                                         \
  void reduce(ReduceOp op, const Tensor& x, uint32_t dim_mask, Tensor& out);                                         \
  /* a (B, M, K), b (B, K, N), out (B, M, N); any strides, B may be broadcast with stride 0. */                      \
  void matmul(const Tensor& a, const Tensor& b, Tensor& out);                                                        \
  /* x (R, I), bias (O) or undefined and out (R, O) contiguous; weight (O, I) of any strides: x weight^T + bias. */  \
  void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& out);                               \
  /* x (N, C, H, W), weight (K, C / groups, R, S), bias (K) or undefined, out (N, K, P, Q); all contiguous. */       \
  void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o, Tensor& out);       \
  void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Conv2dOptions& o, Tensor& dx);            \
  void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Conv2dOptions& o, Tensor& dweight);           \
  /* x (N, C, ...) contiguous; weight, bias (C) or undefined; mean, rstd (N, groups) are outputs too. */             \
  void group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& o, Tensor& out, \
                  Tensor& mean, Tensor& rstd);                                                                       \
  /* dweight, dbias (C) are written when defined. With o.silu, dy is the gradient of the SiLU's output. */           \
  void group_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& mean, const Tensor& rstd,                \
                           const Tensor& weight, const Tensor& bias, const GroupNormOptions& o, Tensor& dx,          \
                           Tensor& dweight, Tensor& dbias);                                                          \
  /* Rows are the last dimension; x contiguous. */                                                                   \
  void softmax(const Tensor& x, Tensor& out);                                                                        \
  void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx);                                              \
  /* x (N, C, H, W) -> (N, C, s*H, s*W), and its adjoint (each input pixel sums its s*s copies). */                  \
  void upsample_nearest2d(const Tensor& x, int64_t scale, Tensor& out);                                              \
  void upsample_nearest2d_backward(const Tensor& dy, int64_t scale, Tensor& dx);

namespace reference {
SFUMATO_KERNELS
}
#ifdef SFUMATO_FAST
namespace fast {
SFUMATO_KERNELS
}
#else
namespace fast {
using namespace reference;  // so that calls compile; never reached, since use_fast() is false in such a build
}
#endif
#undef SFUMATO_KERNELS

}  // namespace sfumato
