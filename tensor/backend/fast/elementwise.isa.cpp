// Elementwise kernels: one functor per op on a vector of lanes. Body and tail of a run go through the same functor, so
// an element's bits do not depend on where a run is cut.
#include "tensor/backend/fast/elementwise_kernels.h"
#include "tensor/backend/fast/vector_math.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

// One vector of an operand: neighbours, one value for all lanes, or a strided gather.
inline Vec load_operand(const float* x, int64_t stride, int64_t i, int count) {
  if (stride == 1) {
    return count == kLanes ? load_unaligned(x + i) : load_first(x + i, count);
  }
  if (stride == 0) {
    return broadcast(*x);
  }
  Vec gathered = {};
  for (int lane = 0; lane < count; ++lane) {
    gathered[lane] = x[(i + lane) * stride];
  }
  return gathered;
}

inline void store_result(float* out, int64_t i, int count, Vec value) {
  if (count == kLanes) {
    store_unaligned(out + i, value);
  } else {
    store_first(out + i, count, value);
  }
}

inline int lanes_left(int64_t i, int64_t n) { return n - i < kLanes ? static_cast<int>(n - i) : kLanes; }

template <class F>
void map(const float* x, int64_t stride, float* out, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int count = lanes_left(i, n);
    store_result(out, i, count, f(load_operand(x, stride, i, count)));
  }
}

template <class F>
void map(const float* a, int64_t stride_a, const float* b, int64_t stride_b, float* out, int64_t n, F f) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int count = lanes_left(i, n);
    store_result(out, i, count, f(load_operand(a, stride_a, i, count), load_operand(b, stride_b, i, count)));
  }
}

// For functions that the vector library does not have: libm, lane by lane.
template <class F>
inline Vec each_lane(Vec x, F f) {
  for (int lane = 0; lane < kLanes; ++lane) {
    x[lane] = f(x[lane]);
  }
  return x;
}

inline Vec one() { return broadcast(1.0f); }
// NaN wins, as in the reference.
inline Vec larger(Vec a, Vec b) { return (a > b) | (a != a) ? a : b; }
inline Vec smaller(Vec a, Vec b) { return (a < b) | (a != a) ? a : b; }
inline Vec absolute(Vec x) {
  return each_lane(x, [](float v) { return __builtin_fabsf(v); });
}
inline Vec square_root(Vec x) {
  return each_lane(x, [](float v) { return __builtin_sqrtf(v); });
}

inline Vec gelu_tanh(Vec x) {
  const Vec cubic = fma(x * x * x, broadcast(0.044715f), x);
  return 0.5f * x * (one() + tanh(0.7978845608f * cubic));
}

inline Vec power(Vec x, float exponent) {
  return each_lane(x, [exponent](float v) { return __builtin_powf(v, exponent); });
}

}  // namespace

void unary_run(UnaryOp op, float a, float b, const float* x, int64_t stride, float* out, int64_t n) {
  const Vec va = broadcast(a);
  const Vec vb = broadcast(b);
  switch (op) {
    case UnaryOp::abs: return map(x, stride, out, n, [](Vec v) { return absolute(v); });
    case UnaryOp::affine: return map(x, stride, out, n, [=](Vec v) { return fma(va, v, vb); });
    case UnaryOp::ceil:
      return map(x, stride, out, n, [](Vec v) { return each_lane(v, [](float s) { return __builtin_ceilf(s); }); });
    case UnaryOp::clamp:
      return map(x, stride, out, n, [=](Vec v) {
        v = v < va ? va : v;
        return v > vb ? vb : v;
      });
    case UnaryOp::cos:
      return map(x, stride, out, n, [](Vec v) { return each_lane(v, [](float s) { return __builtin_cosf(s); }); });
    case UnaryOp::erf: return map(x, stride, out, n, [](Vec v) { return erf(v); });
    case UnaryOp::exp: return map(x, stride, out, n, [](Vec v) { return exp(v); });
    case UnaryOp::expm1:
      return map(x, stride, out, n, [](Vec v) { return each_lane(v, [](float s) { return __builtin_expm1f(s); }); });
    case UnaryOp::floor:
      return map(x, stride, out, n, [](Vec v) { return each_lane(v, [](float s) { return __builtin_floorf(s); }); });
    case UnaryOp::gelu: return map(x, stride, out, n, [](Vec v) { return 0.5f * v * (one() + erf(v * 0.70710678f)); });
    case UnaryOp::gelu_tanh: return map(x, stride, out, n, [](Vec v) { return gelu_tanh(v); });
    case UnaryOp::leaky_relu: return map(x, stride, out, n, [=](Vec v) { return v > 0.0f ? v : va * v; });
    case UnaryOp::log: return map(x, stride, out, n, [](Vec v) { return log(v); });
    case UnaryOp::log1p:
      return map(x, stride, out, n, [](Vec v) { return each_lane(v, [](float s) { return __builtin_log1pf(s); }); });
    case UnaryOp::neg: return map(x, stride, out, n, [](Vec v) { return -v; });
    case UnaryOp::pow: return map(x, stride, out, n, [a](Vec v) { return power(v, a); });
    case UnaryOp::reciprocal: return map(x, stride, out, n, [](Vec v) { return 1.0f / v; });
    case UnaryOp::relu: return map(x, stride, out, n, [](Vec v) { return v < 0.0f ? Vec{} : v; });
    case UnaryOp::round:
      return map(x, stride, out, n,
                 [](Vec v) { return each_lane(v, [](float s) { return __builtin_nearbyintf(s); }); });
    case UnaryOp::rsqrt: return map(x, stride, out, n, [](Vec v) { return 1.0f / square_root(v); });
    case UnaryOp::sigmoid: return map(x, stride, out, n, [](Vec v) { return sigmoid(v); });
    case UnaryOp::sign:
      return map(x, stride, out, n, [](Vec v) { return v > 0.0f ? one() : v < 0.0f ? -one() : Vec{}; });
    case UnaryOp::silu: return map(x, stride, out, n, [](Vec v) { return v * sigmoid(v); });
    case UnaryOp::sin:
      return map(x, stride, out, n, [](Vec v) { return each_lane(v, [](float s) { return __builtin_sinf(s); }); });
    case UnaryOp::softplus:
      // log(1 + e^v) = max(v, 0) + log1p(e^-|v|), without overflow.
      return map(x, stride, out, n, [](Vec v) {
        const Vec rest = each_lane(exp(-absolute(v)), [](float s) { return __builtin_log1pf(s); });
        return (v < 0.0f ? Vec{} : v) + rest;
      });
    case UnaryOp::sqrt: return map(x, stride, out, n, [](Vec v) { return square_root(v); });
    case UnaryOp::square: return map(x, stride, out, n, [](Vec v) { return v * v; });
    case UnaryOp::tanh: return map(x, stride, out, n, [](Vec v) { return tanh(v); });
  }
}

void binary_run(
    BinaryOp op, const float* a, int64_t stride_a, const float* b, int64_t stride_b, float* out, int64_t n) {
  const auto run = [&](auto f) { map(a, stride_a, b, stride_b, out, n, f); };
  switch (op) {
    case BinaryOp::add: return run([](Vec x, Vec y) { return x + y; });
    case BinaryOp::sub: return run([](Vec x, Vec y) { return x - y; });
    case BinaryOp::mul: return run([](Vec x, Vec y) { return x * y; });
    case BinaryOp::div: return run([](Vec x, Vec y) { return x / y; });
    case BinaryOp::maximum: return run([](Vec x, Vec y) { return larger(x, y); });
    case BinaryOp::minimum: return run([](Vec x, Vec y) { return smaller(x, y); });
    case BinaryOp::silu_backward:
      return run([](Vec g, Vec x) {
        const Vec s = sigmoid(x);
        return g * s * fma(x, one() - s, one());
      });
  }
}

}  // namespace sfumato::fast::SFUMATO_ISA
