#include "tensor/ops/elementwise.h"

#include "tensor/backend/backend.h"
#include "tensor/cost.h"

namespace sfumato {
namespace {

void check_floating(std::string_view op, const Tensor& x) {
  check(x.defined(), op, ": the input is undefined");
  check(x.dtype() == DType::f32 || x.dtype() == DType::f64, op, ": not defined for dtype ", x.dtype(),
        " (f32 and f64 are)");
}

Tensor apply(const char* name, UnaryOp op, const Tensor& x, UnaryArgs args = {}) {
  check_floating(name, x);
  Tensor out = empty_like(x);
  report_cost(name, {&x, &out});
  use_fast(x.dtype()) ? fast::unary(op, args, x, out) : reference::unary(op, args, x, out);
  return out;
}

Tensor apply(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  check_floating(name, a);
  check_floating(name, b);
  check(a.dtype() == b.dtype(), name, ": inputs must have one dtype, got ", a.dtype(), " and ", b.dtype());
  Tensor out =
      Tensor::empty(a.shape() == b.shape() ? a.shape() : broadcast_shapes(name, a.shape(), b.shape()), a.dtype());
  report_cost(name, {&a, &b, &out});
  use_fast(a.dtype()) ? fast::binary(op, a, b, out) : reference::binary(op, a, b, out);
  return out;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) { return apply("add", BinaryOp::add, a, b); }
Tensor sub(const Tensor& a, const Tensor& b) { return apply("sub", BinaryOp::sub, a, b); }
Tensor mul(const Tensor& a, const Tensor& b) { return apply("mul", BinaryOp::mul, a, b); }
Tensor div(const Tensor& a, const Tensor& b) { return apply("div", BinaryOp::div, a, b); }
Tensor maximum(const Tensor& a, const Tensor& b) { return apply("maximum", BinaryOp::maximum, a, b); }
Tensor minimum(const Tensor& a, const Tensor& b) { return apply("minimum", BinaryOp::minimum, a, b); }
Tensor silu_backward(const Tensor& g, const Tensor& x) { return apply("silu_backward", BinaryOp::silu_backward, g, x); }

Tensor affine(const Tensor& x, double scale, double shift) {
  return apply("affine", UnaryOp::affine, x, {scale, shift});
}
Tensor add(const Tensor& a, double b) { return apply("add", UnaryOp::affine, a, {1, b}); }
Tensor sub(const Tensor& a, double b) { return apply("sub", UnaryOp::affine, a, {1, -b}); }
Tensor mul(const Tensor& a, double b) { return apply("mul", UnaryOp::affine, a, {b, 0}); }
Tensor div(const Tensor& a, double b) { return apply("div", UnaryOp::affine, a, {1 / b, 0}); }

Tensor abs(const Tensor& x) { return apply("abs", UnaryOp::abs, x); }
Tensor neg(const Tensor& x) { return apply("neg", UnaryOp::neg, x); }
Tensor exp(const Tensor& x) { return apply("exp", UnaryOp::exp, x); }
Tensor expm1(const Tensor& x) { return apply("expm1", UnaryOp::expm1, x); }
Tensor log(const Tensor& x) { return apply("log", UnaryOp::log, x); }
Tensor log1p(const Tensor& x) { return apply("log1p", UnaryOp::log1p, x); }
Tensor sqrt(const Tensor& x) { return apply("sqrt", UnaryOp::sqrt, x); }
Tensor rsqrt(const Tensor& x) { return apply("rsqrt", UnaryOp::rsqrt, x); }
Tensor square(const Tensor& x) { return apply("square", UnaryOp::square, x); }
Tensor reciprocal(const Tensor& x) { return apply("reciprocal", UnaryOp::reciprocal, x); }
Tensor sin(const Tensor& x) { return apply("sin", UnaryOp::sin, x); }
Tensor cos(const Tensor& x) { return apply("cos", UnaryOp::cos, x); }
Tensor tanh(const Tensor& x) { return apply("tanh", UnaryOp::tanh, x); }
Tensor erf(const Tensor& x) { return apply("erf", UnaryOp::erf, x); }
Tensor sigmoid(const Tensor& x) { return apply("sigmoid", UnaryOp::sigmoid, x); }
Tensor softplus(const Tensor& x) { return apply("softplus", UnaryOp::softplus, x); }
Tensor relu(const Tensor& x) { return apply("relu", UnaryOp::relu, x); }
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return apply("leaky_relu", UnaryOp::leaky_relu, x, {negative_slope});
}
Tensor silu(const Tensor& x) { return apply("silu", UnaryOp::silu, x); }
Tensor gelu(const Tensor& x, GeluApproximation approximate) {
  return apply("gelu", approximate == GeluApproximation::tanh ? UnaryOp::gelu_tanh : UnaryOp::gelu, x);
}
Tensor sign(const Tensor& x) { return apply("sign", UnaryOp::sign, x); }
Tensor floor(const Tensor& x) { return apply("floor", UnaryOp::floor, x); }
Tensor ceil(const Tensor& x) { return apply("ceil", UnaryOp::ceil, x); }
Tensor round(const Tensor& x) { return apply("round", UnaryOp::round, x); }
Tensor clamp(const Tensor& x, double min, double max) {
  check(min <= max, "clamp: min must not exceed max, got ", min, " and ", max);
  return apply("clamp", UnaryOp::clamp, x, {min, max});
}
Tensor pow(const Tensor& x, double exponent) { return apply("pow", UnaryOp::pow, x, {exponent}); }

}  // namespace sfumato
