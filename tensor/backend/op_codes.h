// The names of elementwise and reduction kernels: plain enums, so that ISA files (backend/fast/isa.h) may use them too.
#pragma once

namespace sfumato {

enum class UnaryOp {
  abs,
  affine,  // a * x + b
  ceil,
  clamp,  // into [a, b]
  cos,
  erf,
  exp,
  expm1,
  floor,
  gelu,
  gelu_tanh,
  leaky_relu,  // slope a
  log,
  log1p,
  neg,
  pow,  // exponent a
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh
};

// The constants of a unary op, where it has any.
struct UnaryArgs {
  double a = 0;
  double b = 0;
};

enum class BinaryOp { add, sub, mul, div, maximum, minimum, silu_backward };
enum class CompareOp { eq, ne, lt, le, gt, ge };
enum class ReduceOp { sum, max, min };

}  // namespace sfumato
