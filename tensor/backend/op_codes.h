// The names of elementwise and reduction kernels: plain enums, so that ISA files (backend/fast/isa.h) may use them too.
#pragma once

namespace sfumato {

enum class UnaryOp {
  abs,
  acos,
  acosh,
  add,     // x + a
  affine,  // a * x + b
  asin,
  asinh,
  atan,
  atanh,
  ceil,
  clamp,  // into [a, b]
  cos,
  cosh,
  div,  // x / a
  erf,
  erfc,
  exp,
  exp2,
  expm1,
  floor,
  gelu,
  gelu_tanh,
  leaky_relu,  // slope a
  log,
  log10,
  log1p,
  log2,
  mul,  // x * a
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
  sinh,
  softplus,
  sqrt,
  square,
  tan,
  tanh,
  trunc
};

// The constants of a unary op, where it has any.
struct UnaryArgs {
  double a = 0;
  double b = 0;
};

enum class BinaryOp {
  add,
  atan2,
  copysign,
  div,
  floor_divide,  // towards minus infinity, as Python's //
  fmod,          // the sign of the dividend, as C's
  hypot,
  logaddexp,  // log(e^x + e^y)
  maximum,
  minimum,
  mul,
  pow,
  remainder,  // the sign of the divisor, as Python's %
  silu_backward,
  sub
};
enum class CompareOp { eq, ne, lt, le, gt, ge };
enum class ReduceOp { sum, prod, max, min };

}  // namespace sfumato
