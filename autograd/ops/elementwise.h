// Elementwise ops on Variables: the same names and meanings as "tensor/ops/elementwise.h", recorded for backward().
//
//   Variable y = silu(x * w + b);           // broadcasting gradients are summed back by the engine
//
// Rules at kinks follow PyTorch: abs'(0) = 0, relu'(0) = 0, clamp passes the gradient at its bounds, and maximum and
// minimum give half of it to each side of a tie.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

Variable add(const Variable& a, const Variable& b);
Variable sub(const Variable& a, const Variable& b);
Variable mul(const Variable& a, const Variable& b);
Variable div(const Variable& a, const Variable& b);
Variable maximum(const Variable& a, const Variable& b);
Variable minimum(const Variable& a, const Variable& b);
Variable add(const Variable& a, double b);
Variable sub(const Variable& a, double b);
Variable mul(const Variable& a, double b);
Variable div(const Variable& a, double b);

inline Variable operator+(const Variable& a, const Variable& b) { return add(a, b); }
inline Variable operator-(const Variable& a, const Variable& b) { return sub(a, b); }
inline Variable operator*(const Variable& a, const Variable& b) { return mul(a, b); }
inline Variable operator/(const Variable& a, const Variable& b) { return div(a, b); }
inline Variable operator+(const Variable& a, double b) { return add(a, b); }
inline Variable operator-(const Variable& a, double b) { return sub(a, b); }
inline Variable operator*(const Variable& a, double b) { return mul(a, b); }
inline Variable operator*(double a, const Variable& b) { return mul(b, a); }
inline Variable operator/(const Variable& a, double b) { return div(a, b); }

Variable abs(const Variable& x);
Variable neg(const Variable& x);
inline Variable operator-(const Variable& x) { return neg(x); }
Variable exp(const Variable& x);
Variable expm1(const Variable& x);
Variable log(const Variable& x);
Variable log1p(const Variable& x);
Variable sqrt(const Variable& x);
Variable rsqrt(const Variable& x);
Variable square(const Variable& x);
Variable reciprocal(const Variable& x);
Variable sin(const Variable& x);
Variable cos(const Variable& x);
Variable tanh(const Variable& x);
Variable erf(const Variable& x);
Variable sigmoid(const Variable& x);
Variable softplus(const Variable& x);
Variable relu(const Variable& x);
Variable leaky_relu(const Variable& x, double negative_slope = 0.01);
// x * sigmoid(x), also called swish.
Variable silu(const Variable& x);
Variable gelu(const Variable& x, GeluApproximation approximate = GeluApproximation::none);
Variable sign(const Variable& x);
Variable floor(const Variable& x);
Variable ceil(const Variable& x);
// To the nearest integer, halves to even.
Variable round(const Variable& x);
Variable clamp(const Variable& x, double min, double max);
Variable pow(const Variable& x, double exponent);
// scale * x + shift in one pass.
Variable affine(const Variable& x, double scale, double shift);

}  // namespace sfumato
