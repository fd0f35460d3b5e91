#include "tensor/ops/elementwise.h"

#include <cmath>

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/reduce.h"

namespace sfumato {
namespace {

// ---- what each op is declared for ----

constexpr DTypeSet declared(UnaryOp op) {
  switch (op) {
    case UnaryOp::abs:
    case UnaryOp::add:
    case UnaryOp::affine:
    case UnaryOp::ceil:
    case UnaryOp::clamp:
    case UnaryOp::floor:
    case UnaryOp::mul:
    case UnaryOp::neg:
    case UnaryOp::pow:
    case UnaryOp::relu:
    case UnaryOp::round:
    case UnaryOp::sign:
    case UnaryOp::square:
    case UnaryOp::trunc: return kNumbers;
    default: return kFloats;
  }
}

constexpr DTypeSet declared(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
    case BinaryOp::floor_divide:
    case BinaryOp::fmod:
    case BinaryOp::maximum:
    case BinaryOp::minimum:
    case BinaryOp::mul:
    case BinaryOp::remainder:
    case BinaryOp::sub: return kNumbers;
    default: return kFloats;
  }
}

// ---- checks ----

// A number never changes a tensor's dtype, so an integer tensor takes whole numbers only.
void check_number(const char* op, const Tensor& x, double number) {
  if (kIntegers.contains(x.dtype())) {
    check(number == std::trunc(number) && std::abs(number) <= 0x1p53, op, ": an ", x.dtype(),
          " tensor takes whole numbers, got ", number, " (to() converts a tensor)");
  }
}

void check_divisor(const char* op, const Tensor& divisor) {
  check(!kIntegers.contains(divisor.dtype()) || all(ne(divisor, 0.0)).item() != 0, op, ": division by zero in ",
        divisor.dtype());
}

// ---- calls of the kernels ----

Tensor apply(const char* name, UnaryOp op, const Tensor& x, UnaryArgs args = {}) {
  check(x.defined(), name, ": the input is undefined");
  check_dtype(name, declared(op), x.dtype());
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  report_cost(name, {&x, &out});
  use_fast(x.dtype(), kFastElementwise) ? fast::unary(op, args, x, out) : reference::unary(op, args, x, out);
  return out;
}

Tensor apply_number(const char* name, UnaryOp op, const Tensor& x, double number) {
  check_number(name, x, number);
  return apply(name, op, x, {number});
}

Tensor apply(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  check(a.defined() && b.defined(), name, ": an input is undefined");
  if (a.dtype() != b.dtype()) {
    const DType common = promote_types(a.dtype(), b.dtype());
    return apply(name, op, a.to(common), b.to(common));
  }
  check_dtype(name, declared(op), a.dtype());
  Tensor out =
      Tensor::empty(a.shape() == b.shape() ? a.shape() : broadcast_shapes(name, a.shape(), b.shape()), a.dtype());
  report_cost(name, {&a, &b, &out});
  use_fast(a.dtype(), kFastElementwise) ? fast::binary(op, a, b, out) : reference::binary(op, a, b, out);
  return out;
}

}  // namespace

// ---- two tensors ----

Tensor add(const Tensor& a, const Tensor& b) { return apply("add", BinaryOp::add, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply("sub", BinaryOp::sub, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply("mul", BinaryOp::mul, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return apply("div", BinaryOp::div, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply("maximum", BinaryOp::maximum, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply("minimum", BinaryOp::minimum, a, b); }
Tensor pow(const Tensor& a, const Tensor& b) { return apply("pow", BinaryOp::pow, a, b); }
Tensor atan2(const Tensor& y, const Tensor& x) { return apply("atan2", BinaryOp::atan2, y, x); }
Tensor hypot(const Tensor& a, const Tensor& b) { return apply("hypot", BinaryOp::hypot, a, b); }
Tensor logaddexp(const Tensor& a, const Tensor& b) { return apply("logaddexp", BinaryOp::logaddexp, a, b); }
Tensor copysign(const Tensor& a, const Tensor& b) { return apply("copysign", BinaryOp::copysign, a, b); }
Tensor floor_divide(const Tensor& a, const Tensor& b) {
  check_divisor("floor_divide", b);
  return apply("floor_divide", BinaryOp::floor_divide, a, b);
}
Tensor fmod(const Tensor& a, const Tensor& b) {
  check_divisor("fmod", b);
  return apply("fmod", BinaryOp::fmod, a, b);
}
Tensor remainder(const Tensor& a, const Tensor& b) {
  check_divisor("remainder", b);
  return apply("remainder", BinaryOp::remainder, a, b);
}
Tensor silu_backward(const Tensor& g, const Tensor& x) { return apply("silu_backward", BinaryOp::silu_backward, g, x); }

// ---- a tensor and a number ----

Tensor add(const Tensor& a, double b) { return apply_number("add", UnaryOp::add, a, b); }
Tensor sub(const Tensor& a, double b) { return apply_number("sub", UnaryOp::add, a, -b); }
Tensor mul(const Tensor& a, double b) { return apply_number("mul", UnaryOp::mul, a, b); }
Tensor div(const Tensor& a, double b) { return apply("div", UnaryOp::div, a, {b}); }
Tensor pow(const Tensor& x, double exponent) {
  check_number("pow", x, exponent);
  check(!kIntegers.contains(x.dtype()) || exponent >= 0, "pow: an ", x.dtype(),
        " tensor takes exponents from 0 on, got ", exponent);
  return apply("pow", UnaryOp::pow, x, {exponent});
}
Tensor clamp(const Tensor& x, double min, double max) {
  check(min <= max, "clamp: min must not exceed max, got ", min, " and ", max);
  return apply("clamp", UnaryOp::clamp, x, {min, max});
}
Tensor affine(const Tensor& x, double scale, double shift) {
  check_number("affine", x, scale);
  check_number("affine", x, shift);
  return apply("affine", UnaryOp::affine, x, {scale, shift});
}

// ---- one tensor ----

Tensor abs(const Tensor& x) { return apply("abs", UnaryOp::abs, x); }
Tensor acos(const Tensor& x) { return apply("acos", UnaryOp::acos, x); }
Tensor acosh(const Tensor& x) { return apply("acosh", UnaryOp::acosh, x); }
Tensor asin(const Tensor& x) { return apply("asin", UnaryOp::asin, x); }
Tensor asinh(const Tensor& x) { return apply("asinh", UnaryOp::asinh, x); }
Tensor atan(const Tensor& x) { return apply("atan", UnaryOp::atan, x); }
Tensor atanh(const Tensor& x) { return apply("atanh", UnaryOp::atanh, x); }
Tensor ceil(const Tensor& x) { return apply("ceil", UnaryOp::ceil, x); }
Tensor cos(const Tensor& x) { return apply("cos", UnaryOp::cos, x); }
Tensor cosh(const Tensor& x) { return apply("cosh", UnaryOp::cosh, x); }
Tensor erf(const Tensor& x) { return apply("erf", UnaryOp::erf, x); }
Tensor erfc(const Tensor& x) { return apply("erfc", UnaryOp::erfc, x); }
Tensor exp(const Tensor& x) { return apply("exp", UnaryOp::exp, x); }
Tensor exp2(const Tensor& x) { return apply("exp2", UnaryOp::exp2, x); }
Tensor expm1(const Tensor& x) { return apply("expm1", UnaryOp::expm1, x); }
Tensor floor(const Tensor& x) { return apply("floor", UnaryOp::floor, x); }
Tensor gelu(const Tensor& x, GeluApproximation approximate) {
  return apply("gelu", approximate == GeluApproximation::tanh ? UnaryOp::gelu_tanh : UnaryOp::gelu, x);
}
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return apply("leaky_relu", UnaryOp::leaky_relu, x, {negative_slope});
}
Tensor log(const Tensor& x) { return apply("log", UnaryOp::log, x); }
Tensor log10(const Tensor& x) { return apply("log10", UnaryOp::log10, x); }
Tensor log1p(const Tensor& x) { return apply("log1p", UnaryOp::log1p, x); }
Tensor log2(const Tensor& x) { return apply("log2", UnaryOp::log2, x); }
Tensor neg(const Tensor& x) { return apply("neg", UnaryOp::neg, x); }
Tensor reciprocal(const Tensor& x) { return apply("reciprocal", UnaryOp::reciprocal, x); }
Tensor relu(const Tensor& x) { return apply("relu", UnaryOp::relu, x); }
Tensor round(const Tensor& x) { return apply("round", UnaryOp::round, x); }
Tensor rsqrt(const Tensor& x) { return apply("rsqrt", UnaryOp::rsqrt, x); }
Tensor sigmoid(const Tensor& x) { return apply("sigmoid", UnaryOp::sigmoid, x); }
Tensor sign(const Tensor& x) { return apply("sign", UnaryOp::sign, x); }
Tensor silu(const Tensor& x) { return apply("silu", UnaryOp::silu, x); }
Tensor sin(const Tensor& x) { return apply("sin", UnaryOp::sin, x); }
Tensor sinh(const Tensor& x) { return apply("sinh", UnaryOp::sinh, x); }
Tensor softplus(const Tensor& x) { return apply("softplus", UnaryOp::softplus, x); }
Tensor sqrt(const Tensor& x) { return apply("sqrt", UnaryOp::sqrt, x); }
Tensor square(const Tensor& x) { return apply("square", UnaryOp::square, x); }
Tensor tan(const Tensor& x) { return apply("tan", UnaryOp::tan, x); }
Tensor tanh(const Tensor& x) { return apply("tanh", UnaryOp::tanh, x); }
Tensor trunc(const Tensor& x) { return apply("trunc", UnaryOp::trunc, x); }

}  // namespace sfumato
