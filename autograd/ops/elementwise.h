// Elementwise ops on Variables: the same names and meanings as "tensor/ops/elementwise.h", recorded for backward().
//
//   Variable y = silu(x * w + b);           // broadcasting gradients are summed back by the engine
//
// Rules at kinks follow PyTorch: abs'(0) = 0, relu'(0) = 0, clamp passes the gradient at its bounds, and maximum and
// minimum give half of it to each side of a tie. Steps (sign, floor, floor_divide, ...) have no gradient.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

// ---- two tensors (arithmetic.cpp) ----

Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
Variable maximum(const Variable& a, const Variable& b);
Variable minimum(const Variable& a, const Variable& b);
Variable pow(const Variable& a, const Variable& b);
Variable atan2(const Variable& y, const Variable& x);
Variable hypot(const Variable& a, const Variable& b);
Variable logaddexp(const Variable& a, const Variable& b);
Variable copysign(const Variable& a, const Variable& b);
Variable floor_divide(const Variable& a, const Variable& b);
Variable fmod(const Variable& a, const Variable& b);
Variable remainder(const Variable& a, const Variable& b);
// a + weight * (b - a).
Variable lerp(const Variable& a, const Variable& b, const Variable& weight);
Variable lerp(const Variable& a, const Variable& b, double weight);
// x + value * a * b, and x + value * a / b.
Variable addcmul(const Variable& x, const Variable& a, const Variable& b, double value = 1);
Variable addcdiv(const Variable& x, const Variable& a, const Variable& b, double value = 1);
// x * log(y), and 0 where x is 0.
Variable xlogy(const Variable& x, const Variable& y);

// ---- a tensor and a number (arithmetic.cpp) ----

Variable add(const Variable& a, double b);
Variable sub(const Variable& a, double b);
Variable mul(const Variable& a, double b);
Variable div(const Variable& a, double b);
Variable pow(const Variable& x, double exponent);
Variable clamp(const Variable& x, double min, double max);
// scale * x + shift in one pass.
Variable affine(const Variable& x, double scale, double shift);

inline Variable operator+(const Variable& a, const Variable& b) { return add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return sub(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return mul(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return div(a, b); }
inline Variable operator+(const Variable& a, double b) { return add(a, b); }
inline Variable operator-(const Variable& a, double b) { return sub(a, b); }
inline Variable operator*(const Variable& a, double b) { return mul(a, b); }
inline Variable operator/(const Variable& a, double b) { return div(a, b); }
inline Variable operator+(double a, const Variable& b) { return add(b, a); }
inline Variable operator-(double a, const Variable& b) { return affine(b, -1, a); }
inline Variable operator*(double a, const Variable& b) { return mul(b, a); }

// ---- functions (elementwise.cpp) ----

Variable abs(const Variable& x);
Variable acos(const Variable& x);
Variable acosh(const Variable& x);
Variable asin(const Variable& x);
Variable asinh(const Variable& x);
Variable atan(const Variable& x);
Variable atanh(const Variable& x);
Variable ceil(const Variable& x);
Variable cos(const Variable& x);
Variable cosh(const Variable& x);
Variable erf(const Variable& x);
Variable erfc(const Variable& x);
Variable exp(const Variable& x);
Variable exp2(const Variable& x);
Variable expm1(const Variable& x);
Variable floor(const Variable& x);
// x - trunc(x).
Variable frac(const Variable& x);
Variable log(const Variable& x);
Variable log10(const Variable& x);
Variable log1p(const Variable& x);
Variable log2(const Variable& x);
// log(x / (1 - x)), the inverse of sigmoid.
Variable logit(const Variable& x);
Variable neg(const Variable& x);
Variable reciprocal(const Variable& x);
// To the nearest integer, halves to even.
Variable round(const Variable& x);
Variable rsqrt(const Variable& x);
Variable sign(const Variable& x);
Variable sin(const Variable& x);
Variable sinh(const Variable& x);
Variable sqrt(const Variable& x);
Variable square(const Variable& x);
Variable tan(const Variable& x);
Variable tanh(const Variable& x);
Variable trunc(const Variable& x);

inline Variable operator-(const Variable& x) { return neg(x); }
inline Variable operator/(double a, const Variable& b) { return mul(reciprocal(b), a); }

// ---- activations (activation.cpp) ----

// x for positive x, else alpha * (e^x - 1).
Variable elu(const Variable& x, double alpha = 1);
Variable gelu(const Variable& x, GeluApproximation approximate = GeluApproximation::none);
// clamp(x + 3, 0, 6) / 6, and x times that.
Variable hardsigmoid(const Variable& x);
Variable hardswish(const Variable& x);
Variable hardtanh(const Variable& x, double min = -1, double max = 1);
Variable leaky_relu(const Variable& x, double negative_slope = 0.01);
Variable logsigmoid(const Variable& x);
// x * tanh(softplus(x)).
Variable mish(const Variable& x);
Variable relu(const Variable& x);
Variable relu6(const Variable& x);
Variable sigmoid(const Variable& x);
// x * sigmoid(x), also called swish.
Variable silu(const Variable& x);
Variable softplus(const Variable& x);
// x / (1 + |x|).
Variable softsign(const Variable& x);

}  // namespace sfumato
