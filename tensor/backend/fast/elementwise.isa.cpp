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

// The two below as in the reference.
inline float logaddexp(float x, float y) {
  if (__builtin_isinf(x) && x == y) {
    return x;
  }
  const float top = x > y || x != x ? x : y;
  return top + __builtin_log1pf(__builtin_expf(-__builtin_fabsf(x - y)));
}
inline float remainder_of(float x, float y) {
  const float rest = __builtin_fmodf(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

}  // namespace

#define SFUMATO_EACH_LANE(function) \
  [](Vec v) { return each_lane(v, [](float s) { return __builtin_##function##f(s); }); }

void unary_run(UnaryOp op, float a, float b, const float* x, int64_t stride, float* out, int64_t n) {
  const Vec va = broadcast(a);
  const Vec vb = broadcast(b);
  const auto run = [&](auto f) { map(x, stride, out, n, f); };
  switch (op) {
    case UnaryOp::abs: return run([](Vec v) { return absolute(v); });
    case UnaryOp::acos: return run(SFUMATO_EACH_LANE(acos));
    case UnaryOp::acosh: return run(SFUMATO_EACH_LANE(acosh));
    case UnaryOp::add: return run([=](Vec v) { return v + va; });
    case UnaryOp::affine: return run([=](Vec v) { return fma(va, v, vb); });
    case UnaryOp::asin: return run(SFUMATO_EACH_LANE(asin));
    case UnaryOp::asinh: return run(SFUMATO_EACH_LANE(asinh));
    case UnaryOp::atan: return run(SFUMATO_EACH_LANE(atan));
    case UnaryOp::atanh: return run(SFUMATO_EACH_LANE(atanh));
    case UnaryOp::ceil: return run(SFUMATO_EACH_LANE(ceil));
    case UnaryOp::clamp:
      return run([=](Vec v) {
        v = v < va ? va : v;
        return v > vb ? vb : v;
      });
    case UnaryOp::cos: return run(SFUMATO_EACH_LANE(cos));
    case UnaryOp::cosh: return run(SFUMATO_EACH_LANE(cosh));
    case UnaryOp::div: return run([=](Vec v) { return v / va; });
    case UnaryOp::erf: return run([](Vec v) { return erf(v); });
    case UnaryOp::erfc: return run(SFUMATO_EACH_LANE(erfc));
    case UnaryOp::exp: return run([](Vec v) { return exp(v); });
    case UnaryOp::exp2: return run(SFUMATO_EACH_LANE(exp2));
    case UnaryOp::expm1: return run(SFUMATO_EACH_LANE(expm1));
    case UnaryOp::floor: return run(SFUMATO_EACH_LANE(floor));
    case UnaryOp::gelu: return run([](Vec v) { return 0.5f * v * (one() + erf(v * 0.70710678f)); });
    case UnaryOp::gelu_tanh: return run([](Vec v) { return gelu_tanh(v); });
    case UnaryOp::leaky_relu: return run([=](Vec v) { return v > 0.0f ? v : va * v; });
    case UnaryOp::log: return run([](Vec v) { return log(v); });
    case UnaryOp::log10: return run(SFUMATO_EACH_LANE(log10));
    case UnaryOp::log1p: return run(SFUMATO_EACH_LANE(log1p));
    case UnaryOp::log2: return run(SFUMATO_EACH_LANE(log2));
    case UnaryOp::mul: return run([=](Vec v) { return v * va; });
    case UnaryOp::neg: return run([](Vec v) { return -v; });
    case UnaryOp::pow: return run([a](Vec v) { return power(v, a); });
    case UnaryOp::reciprocal: return run([](Vec v) { return 1.0f / v; });
    case UnaryOp::relu: return run([](Vec v) { return v < 0.0f ? Vec{} : v; });
    case UnaryOp::round: return run(SFUMATO_EACH_LANE(nearbyint));
    case UnaryOp::rsqrt: return run([](Vec v) { return 1.0f / square_root(v); });
    case UnaryOp::sigmoid: return run([](Vec v) { return sigmoid(v); });
    case UnaryOp::sign: return run([](Vec v) { return v > 0.0f ? one() : v < 0.0f ? -one() : Vec{}; });
    case UnaryOp::silu: return run([](Vec v) { return v * sigmoid(v); });
    case UnaryOp::sin: return run(SFUMATO_EACH_LANE(sin));
    case UnaryOp::sinh: return run(SFUMATO_EACH_LANE(sinh));
    case UnaryOp::softplus:
      // log(1 + e^v) = max(v, 0) + log1p(e^-|v|), without overflow.
      return run([](Vec v) {
        const Vec rest = each_lane(exp(-absolute(v)), [](float s) { return __builtin_log1pf(s); });
        return (v < 0.0f ? Vec{} : v) + rest;
      });
    case UnaryOp::sqrt: return run([](Vec v) { return square_root(v); });
    case UnaryOp::square: return run([](Vec v) { return v * v; });
    case UnaryOp::tan: return run(SFUMATO_EACH_LANE(tan));
    case UnaryOp::tanh: return run([](Vec v) { return tanh(v); });
    case UnaryOp::trunc: return run(SFUMATO_EACH_LANE(trunc));
  }
}

#undef SFUMATO_EACH_LANE

void binary_run(
    BinaryOp op, const float* a, int64_t stride_a, const float* b, int64_t stride_b, float* out, int64_t n) {
  const auto run = [&](auto f) { map(a, stride_a, b, stride_b, out, n, f); };
  // For functions that the vector library does not have: lane by lane.
  const auto run_lanes = [&](auto f) {
    run([f](Vec x, Vec y) {
      for (int lane = 0; lane < kLanes; ++lane) {
        x[lane] = f(x[lane], y[lane]);
      }
      return x;
    });
  };
  switch (op) {
    case BinaryOp::add: return run([](Vec x, Vec y) { return x + y; });
    case BinaryOp::atan2: return run_lanes([](float x, float y) { return __builtin_atan2f(x, y); });
    case BinaryOp::copysign: return run([](Vec x, Vec y) { return with_sign_of(magnitude(x), y); });
    case BinaryOp::div: return run([](Vec x, Vec y) { return x / y; });
    case BinaryOp::floor_divide: return run_lanes([](float x, float y) { return __builtin_floorf(x / y); });
    case BinaryOp::fmod: return run_lanes([](float x, float y) { return __builtin_fmodf(x, y); });
    case BinaryOp::hypot: return run_lanes([](float x, float y) { return __builtin_hypotf(x, y); });
    case BinaryOp::logaddexp: return run_lanes(logaddexp);
    case BinaryOp::maximum: return run([](Vec x, Vec y) { return larger(x, y); });
    case BinaryOp::minimum: return run([](Vec x, Vec y) { return smaller(x, y); });
    case BinaryOp::mul: return run([](Vec x, Vec y) { return x * y; });
    case BinaryOp::pow: return run_lanes([](float x, float y) { return __builtin_powf(x, y); });
    case BinaryOp::remainder: return run_lanes(remainder_of);
    case BinaryOp::silu_backward:
      return run([](Vec g, Vec x) {
        const Vec s = sigmoid(x);
        return g * s * fma(x, one() - s, one());
      });
    case BinaryOp::sub: return run([](Vec x, Vec y) { return x - y; });
  }
}

}  // namespace sfumato::fast::SFUMATO_ISA
