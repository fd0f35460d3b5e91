// Elementwise ops with numpy broadcasting. Names and meanings are PyTorch's.
//
//   Tensor y = add(mul(x, 2.0), bias);      // also x * 2.0 + bias
//
// Tensors of two dtypes meet in promote_types() ("tensor/dtype.h"); a number never changes a tensor's dtype, so an
// integer tensor takes whole numbers only. Every op is declared for f32, f64 and bf16, and those marked [int] for i64,
// i32 and u8 too, where sums and products wrap around; any other dtype throws. Every op returns a new contiguous
// tensor. Shapes that do not broadcast throw, naming the op and both shapes.
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// ---- two tensors ----

Tensor add(const Tensor& a, const Tensor& b);      // [int]
Tensor sub(const Tensor& a, const Tensor& b);      // [int]
Tensor mul(const Tensor& a, const Tensor& b);      // [int]
Tensor div(const Tensor& a, const Tensor& b);      // of integers: floor_divide()
Tensor maximum(const Tensor& a, const Tensor& b);  // [int]; NaN wins
Tensor minimum(const Tensor& a, const Tensor& b);  // [int]; NaN wins
Tensor pow(const Tensor& a, const Tensor& b);
Tensor atan2(const Tensor& y, const Tensor& x);
Tensor hypot(const Tensor& a, const Tensor& b);
// log(e^a + e^b) without overflow.
Tensor logaddexp(const Tensor& a, const Tensor& b);
// |a| with b's sign.
Tensor copysign(const Tensor& a, const Tensor& b);
// Rounded towards minus infinity, as Python's //. Integers [int] throw on a zero divisor, and so do the next two.
Tensor floor_divide(const Tensor& a, const Tensor& b);
// What is left of a / b: with the sign of a (fmod, as in C) or of b (remainder, as Python's %).
Tensor fmod(const Tensor& a, const Tensor& b);
Tensor remainder(const Tensor& a, const Tensor& b);
// g * d silu(x) / dx in one pass.
Tensor silu_backward(const Tensor& g, const Tensor& x);

// ---- a tensor and a number ----

Tensor add(const Tensor& a, double b);  // [int]
Tensor sub(const Tensor& a, double b);  // [int]
Tensor mul(const Tensor& a, double b);  // [int]
Tensor div(const Tensor& a, double b);
Tensor pow(const Tensor& x, double exponent);                // [int], exponents from 0 on
Tensor clamp(const Tensor& x, double min, double max);       // [int]
Tensor affine(const Tensor& x, double scale, double shift);  // [int]; scale * x + shift in one pass

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(double a, const Tensor& b) { return affine(b, -1, a); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }

// ---- one tensor ----

Tensor abs(const Tensor& x);  // [int]
Tensor acos(const Tensor& x);
Tensor acosh(const Tensor& x);
Tensor asin(const Tensor& x);
Tensor asinh(const Tensor& x);
Tensor atan(const Tensor& x);
Tensor atanh(const Tensor& x);
Tensor ceil(const Tensor& x);  // [int]
Tensor cos(const Tensor& x);
Tensor cosh(const Tensor& x);
Tensor erf(const Tensor& x);
Tensor erfc(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor exp2(const Tensor& x);
Tensor expm1(const Tensor& x);
Tensor floor(const Tensor& x);  // [int]
enum class GeluApproximation { none, tanh };
Tensor gelu(const Tensor& x, GeluApproximation approximate = GeluApproximation::none);
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
Tensor log(const Tensor& x);
Tensor log10(const Tensor& x);
Tensor log1p(const Tensor& x);
Tensor log2(const Tensor& x);
Tensor neg(const Tensor& x);  // [int]
Tensor reciprocal(const Tensor& x);
Tensor relu(const Tensor& x);  // [int]
// To the nearest integer, halves to even.
Tensor round(const Tensor& x);  // [int]
Tensor rsqrt(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor sign(const Tensor& x);  // [int]
// x * sigmoid(x), also called swish.
Tensor silu(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor sinh(const Tensor& x);
Tensor softplus(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor square(const Tensor& x);  // [int]
Tensor tan(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor trunc(const Tensor& x);  // [int]

inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator/(double a, const Tensor& b) { return mul(reciprocal(b), a); }

}  // namespace sfumato
