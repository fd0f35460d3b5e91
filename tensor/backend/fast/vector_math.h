// Elementary functions of one vector of kLanes floats, for `.isa.cpp` files: exp, log, sigmoid, tanh, erf, and the lane
// helpers that reductions need. Vec, fma, broadcast, loads and stores come from winograd_vector.h.
//
//   const Vec y = exp(load_first(x, count));     // a tail runs the same code as the body: the same bits
//   store_first(out, count, y);
//
// Method: reduce the argument to a short interval, then a polynomial. Their coefficients are minimax fits (Remez on
// 4000 Chebyshev points, each coefficient rounded to f32 in turn from the lowest power on, and those above it fitted
// again). Largest errors against f64, with fma or without: exp 1.01 ulp, log 0.82, tanh 1.34, erf 1.3, sigmoid and
// silu 2.5. NaN gives NaN; overflow gives inf; results below 2^-126 may be flushed to zero.
#pragma once

#include "tensor/backend/fast/winograd_vector.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

typedef int32_t IVec __attribute__((vector_size(4 * kLanes), may_alias));
typedef uint32_t UVec __attribute__((vector_size(4 * kLanes), may_alias));

inline IVec lane_numbers() {
  IVec numbers;
  for (int lane = 0; lane < kLanes; ++lane) {
    numbers[lane] = lane;
  }
  return numbers;
}

// `fill` where load_first() gives zero.
inline Vec load_first_or(const float* p, int count, Vec fill) {
  return lane_numbers() < count ? load_first(p, count) : fill;
}
inline Vec keep_first(Vec v, int count) { return lane_numbers() < count ? v : Vec{}; }

// Folds the upper half onto the lower until one lane is left: a fixed order, and log2(kLanes) steps.
template <class Combine>
inline float fold_lanes(Vec v, Combine combine) {
#pragma GCC unroll 4
  for (int half = kLanes / 2; half >= 1; half /= 2) {
    v = combine(v, __builtin_shuffle(v, (lane_numbers() + half) & (kLanes - 1)));
  }
  return v[0];
}
inline float sum_lanes(Vec v) {
  return fold_lanes(v, [](Vec a, Vec b) { return a + b; });
}
inline float max_lanes(Vec v) {
  return fold_lanes(v, [](Vec a, Vec b) { return a > b ? a : b; });
}

// ln 2 in two parts: n * kLn2High is exact for the n that occur (355/512 has 9 bits).
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;

// y * 2^n for |n| <= 254; overflows to inf.
inline Vec scale_by_power(Vec y, Vec n) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_scalef_ps(static_cast<__mmask16>(0xffff), (__m512)y, (__m512)n);
#else
  const IVec whole = __builtin_convertvector(n, IVec);
  const IVec half = whole >> 1;
  return y * (Vec)((half + 127) << 23) * (Vec)((whole - half + 127) << 23);
#endif
}

// e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2) / 2, e^r = 1 + r + r^2 P(r).
inline Vec exp(Vec x) {
  x = x > 90.0f ? broadcast(90.0f) : x;  // beyond these the result is inf or 0 anyway
  x = x < -105.0f ? broadcast(-105.0f) : x;
  // Adding 1.5 * 2^23 rounds to an integer.
  const Vec rounder = broadcast(12582912.0f);
  const Vec n = fma(x, broadcast(1.44269504f), rounder) - rounder;
  Vec r = fma(n, broadcast(-kLn2High), x);
  r = fma(n, broadcast(-kLn2Low), r);
  Vec p = broadcast(1.384703908e-3f);
  p = fma(p, r, broadcast(8.369989693e-3f));
  p = fma(p, r, broadcast(4.166800901e-2f));
  p = fma(p, r, broadcast(1.666650921e-1f));
  p = fma(p, r, broadcast(4.999999404e-1f));
  return scale_by_power(fma(p, r * r, r) + 1.0f, n);
}

// ln x = n ln 2 + ln(1 + f) with x = 2^n (1 + f), 1 + f in [sqrt(1/2), sqrt(2)), ln(1 + f) = f - f^2 / 2 + f^3 P(f).
inline Vec log(Vec x) {
  const IVec tiny = x < 1.17549435e-38f;
  const Vec normal = tiny ? x * 8388608.0f : x;
  // Without sign: the bits of lanes below zero, answered at the end, would overflow.
  const UVec bits = (UVec)normal;
  const IVec exponent = (IVec)(bits - 0x3f3504f3u) >> 23;
  const Vec f = (Vec)(bits - ((UVec)exponent << 23)) - 1.0f;
  const Vec n = __builtin_convertvector(tiny ? exponent - 23 : exponent, Vec);
  Vec p = broadcast(4.596658424e-2f);
  p = fma(p, f, broadcast(-1.045672670e-1f));
  p = fma(p, f, broadcast(1.209280193e-1f));
  p = fma(p, f, broadcast(-1.258112043e-1f));
  p = fma(p, f, broadcast(1.422114521e-1f));
  p = fma(p, f, broadcast(-1.666211337e-1f));
  p = fma(p, f, broadcast(2.000178546e-1f));
  p = fma(p, f, broadcast(-2.499998808e-1f));
  p = fma(p, f, broadcast(3.333331347e-1f));
  const Vec square = f * f;
  Vec y = fma(n, broadcast(kLn2Low), square * f * p);
  y = fma(square, broadcast(-0.5f), y) + f;
  y = fma(n, broadcast(kLn2High), y);
  const Vec infinity = broadcast(__builtin_inff());
  return x > 0.0f ? (x < infinity ? y : x) : (x == 0.0f ? -infinity : broadcast(__builtin_nanf("")));
}

inline Vec sigmoid(Vec x) { return 1.0f / (1.0f + exp(-x)); }

// x * sigmoid(x) with one division.
inline Vec silu(Vec x) { return x / (1.0f + exp(-x)); }

inline Vec magnitude(Vec x) { return (Vec)((IVec)x & 0x7fffffff); }
inline Vec with_sign_of(Vec y, Vec x) { return (Vec)((IVec)y | ((IVec)x & static_cast<int32_t>(0x80000000u))); }

// Near zero an odd polynomial, elsewhere 1 - 2 / (e^2|x| + 1).
inline Vec tanh(Vec x) {
  const Vec a = magnitude(x);
  const Vec u = a * a;
  Vec p = broadcast(-5.692465696e-3f);
  p = fma(p, u, broadcast(2.062821761e-2f));
  p = fma(p, u, broadcast(-5.373651534e-2f));
  p = fma(p, u, broadcast(1.333140582e-1f));
  p = fma(p, u, broadcast(-3.333328068e-1f));
  const Vec near = fma(a * u, p, a);
  const Vec far = 1.0f - 2.0f / (exp(2.0f * a) + 1.0f);
  return with_sign_of(a < 0.625f ? near : far, x);
}

// Near zero x + x Q(x^2), elsewhere 1 - exp(R(|x|)) where R fits ln erfc; from 4 on the result rounds to 1.
inline Vec erf(Vec x) {
  const Vec a = magnitude(x);
  const Vec u = a * a;
  Vec q = broadcast(7.996649947e-5f);
  q = fma(q, u, broadcast(-8.049769676e-4f));
  q = fma(q, u, broadcast(5.192405079e-3f));
  q = fma(q, u, broadcast(-2.685573138e-2f));
  q = fma(q, u, broadcast(1.128362566e-1f));
  q = fma(q, u, broadcast(-3.761262894e-1f));
  q = fma(q, u, broadcast(1.283791661e-1f));
  const Vec near = fma(a, q, a);
  const Vec t = a > 4.0f ? broadcast(4.0f) : a;
  Vec r = broadcast(-2.109655907e-5f);
  r = fma(r, t, broadcast(4.344842746e-4f));
  r = fma(r, t, broadcast(-4.171155393e-3f));
  r = fma(r, t, broadcast(2.511959709e-2f));
  r = fma(r, t, broadcast(-1.082802340e-1f));
  r = fma(r, t, broadcast(-6.333468556e-1f));
  r = fma(r, t, broadcast(-1.129514933e+0f));
  r = fma(r, t, broadcast(1.746831695e-4f));
  return with_sign_of(a < 0.925f ? near : 1.0f - exp(r), x);
}

}  // namespace
}  // namespace sfumato::fast::SFUMATO_ISA
