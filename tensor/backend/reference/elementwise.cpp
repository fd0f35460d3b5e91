// Elementwise kernels as their formulas read: f32 and f64 in themselves, bf16 in f32, integers modulo 2^bits.
#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/backend/backend.h"
#include "tensor/iterator.h"

namespace sfumato::reference {
namespace {

constexpr int64_t kGrain = 1 << 12;

template <class T, class F>
void map(const Tensor& x, Tensor& out, F f) {
  using C = Compute<T>;
  const T* in = x.data<T>();
  T* to = out.mutable_data<T>();
  ElementwiseIterator(out.shape(), {&out, &x}).for_each_run(kGrain, [&](const auto& run) {
    for (int64_t i = 0; i < run.count; ++i) {
      to[run.offset[0] + i * run.stride[0]] = T(f(static_cast<C>(in[run.offset[1] + i * run.stride[1]])));
    }
  });
}

template <class T, class F>
void map(const Tensor& a, const Tensor& b, Tensor& out, F f) {
  using C = Compute<T>;
  const T* left = a.data<T>();
  const T* right = b.data<T>();
  T* to = out.mutable_data<T>();
  ElementwiseIterator(out.shape(), {&out, &a, &b}).for_each_run(kGrain, [&](const auto& run) {
    for (int64_t i = 0; i < run.count; ++i) {
      to[run.offset[0] + i * run.stride[0]] = T(f(static_cast<C>(left[run.offset[1] + i * run.stride[1]]),
                                                  static_cast<C>(right[run.offset[2] + i * run.stride[2]])));
    }
  });
}

// ---- floating point ----

template <class T>
T sigmoid(T x) {
  return T(1) / (T(1) + std::exp(-x));
}

// NaN wins, as in PyTorch.
template <class T>
T larger(T a, T b) {
  return a > b || a != a ? a : b;
}
template <class T>
T smaller(T a, T b) {
  return a < b || a != a ? a : b;
}

template <class T>
T gelu_tanh(T x) {
  const T inner = T(std::sqrt(2 / M_PI)) * (x + T(0.044715) * x * x * x);
  return T(0.5) * x * (T(1) + std::tanh(inner));
}

// fmod moved into the divisor's sign.
template <class T>
T remainder(T x, T y) {
  const T rest = std::fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

// The larger one outside, so that nothing overflows; infinities of one sign are their own sum.
template <class T>
T logaddexp(T x, T y) {
  if (std::isinf(x) && x == y) {
    return x;
  }
  return larger(x, y) + std::log1p(std::exp(-std::abs(x - y)));
}

// log(1 + exp(x)) without overflow.
template <class T>
T softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <class T>
void unary_of(UnaryOp op, Compute<T> a, Compute<T> b, const Tensor& x, Tensor& out) {
  using C = Compute<T>;
  switch (op) {
    case UnaryOp::abs: return map<T>(x, out, [](C v) { return std::abs(v); });
    case UnaryOp::acos: return map<T>(x, out, [](C v) { return std::acos(v); });
    case UnaryOp::acosh: return map<T>(x, out, [](C v) { return std::acosh(v); });
    case UnaryOp::add: return map<T>(x, out, [=](C v) { return v + a; });
    case UnaryOp::affine: return map<T>(x, out, [=](C v) { return a * v + b; });
    case UnaryOp::asin: return map<T>(x, out, [](C v) { return std::asin(v); });
    case UnaryOp::asinh: return map<T>(x, out, [](C v) { return std::asinh(v); });
    case UnaryOp::atan: return map<T>(x, out, [](C v) { return std::atan(v); });
    case UnaryOp::atanh: return map<T>(x, out, [](C v) { return std::atanh(v); });
    case UnaryOp::ceil: return map<T>(x, out, [](C v) { return std::ceil(v); });
    case UnaryOp::clamp: return map<T>(x, out, [=](C v) { return v < a ? a : v > b ? b : v; });
    case UnaryOp::cos: return map<T>(x, out, [](C v) { return std::cos(v); });
    case UnaryOp::cosh: return map<T>(x, out, [](C v) { return std::cosh(v); });
    case UnaryOp::div: return map<T>(x, out, [=](C v) { return v / a; });
    case UnaryOp::erf: return map<T>(x, out, [](C v) { return std::erf(v); });
    case UnaryOp::erfc: return map<T>(x, out, [](C v) { return std::erfc(v); });
    case UnaryOp::exp: return map<T>(x, out, [](C v) { return std::exp(v); });
    case UnaryOp::exp2: return map<T>(x, out, [](C v) { return std::exp2(v); });
    case UnaryOp::expm1: return map<T>(x, out, [](C v) { return std::expm1(v); });
    case UnaryOp::floor: return map<T>(x, out, [](C v) { return std::floor(v); });
    case UnaryOp::gelu: return map<T>(x, out, [](C v) { return C(0.5) * v * (C(1) + std::erf(v * C(M_SQRT1_2))); });
    case UnaryOp::gelu_tanh: return map<T>(x, out, [](C v) { return gelu_tanh(v); });
    case UnaryOp::leaky_relu: return map<T>(x, out, [=](C v) { return v > 0 ? v : a * v; });
    case UnaryOp::log: return map<T>(x, out, [](C v) { return std::log(v); });
    case UnaryOp::log10: return map<T>(x, out, [](C v) { return std::log10(v); });
    case UnaryOp::log1p: return map<T>(x, out, [](C v) { return std::log1p(v); });
    case UnaryOp::log2: return map<T>(x, out, [](C v) { return std::log2(v); });
    case UnaryOp::mul: return map<T>(x, out, [=](C v) { return v * a; });
    case UnaryOp::neg: return map<T>(x, out, [](C v) { return -v; });
    case UnaryOp::pow: return map<T>(x, out, [=](C v) { return std::pow(v, a); });
    case UnaryOp::reciprocal: return map<T>(x, out, [](C v) { return C(1) / v; });
    case UnaryOp::relu: return map<T>(x, out, [](C v) { return v < 0 ? C(0) : v; });
    case UnaryOp::round: return map<T>(x, out, [](C v) { return std::nearbyint(v); });
    case UnaryOp::rsqrt: return map<T>(x, out, [](C v) { return C(1) / std::sqrt(v); });
    case UnaryOp::sigmoid: return map<T>(x, out, [](C v) { return sigmoid(v); });
    case UnaryOp::sign: return map<T>(x, out, [](C v) { return C((v > 0) - (v < 0)); });
    case UnaryOp::silu: return map<T>(x, out, [](C v) { return v * sigmoid(v); });
    case UnaryOp::sin: return map<T>(x, out, [](C v) { return std::sin(v); });
    case UnaryOp::sinh: return map<T>(x, out, [](C v) { return std::sinh(v); });
    case UnaryOp::softplus: return map<T>(x, out, [](C v) { return softplus(v); });
    case UnaryOp::sqrt: return map<T>(x, out, [](C v) { return std::sqrt(v); });
    case UnaryOp::square: return map<T>(x, out, [](C v) { return v * v; });
    case UnaryOp::tan: return map<T>(x, out, [](C v) { return std::tan(v); });
    case UnaryOp::tanh: return map<T>(x, out, [](C v) { return std::tanh(v); });
    case UnaryOp::trunc: return map<T>(x, out, [](C v) { return std::trunc(v); });
  }
}

template <class T>
void binary_of(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  using C = Compute<T>;
  switch (op) {
    case BinaryOp::add: return map<T>(a, b, out, [](C x, C y) { return x + y; });
    case BinaryOp::atan2: return map<T>(a, b, out, [](C x, C y) { return std::atan2(x, y); });
    case BinaryOp::copysign: return map<T>(a, b, out, [](C x, C y) { return std::copysign(x, y); });
    case BinaryOp::div: return map<T>(a, b, out, [](C x, C y) { return x / y; });
    case BinaryOp::floor_divide: return map<T>(a, b, out, [](C x, C y) { return std::floor(x / y); });
    case BinaryOp::fmod: return map<T>(a, b, out, [](C x, C y) { return std::fmod(x, y); });
    case BinaryOp::hypot: return map<T>(a, b, out, [](C x, C y) { return std::hypot(x, y); });
    case BinaryOp::logaddexp: return map<T>(a, b, out, [](C x, C y) { return logaddexp(x, y); });
    case BinaryOp::maximum: return map<T>(a, b, out, [](C x, C y) { return larger(x, y); });
    case BinaryOp::minimum: return map<T>(a, b, out, [](C x, C y) { return smaller(x, y); });
    case BinaryOp::mul: return map<T>(a, b, out, [](C x, C y) { return x * y; });
    case BinaryOp::pow: return map<T>(a, b, out, [](C x, C y) { return std::pow(x, y); });
    case BinaryOp::remainder: return map<T>(a, b, out, [](C x, C y) { return remainder(x, y); });
    case BinaryOp::silu_backward:
      return map<T>(a, b, out, [](C g, C x) {
        const C s = sigmoid(x);
        return g * s * (C(1) + x * (C(1) - s));
      });
    case BinaryOp::sub: return map<T>(a, b, out, [](C x, C y) { return x - y; });
  }
}

// ---- integers ----
// Sums, differences and products wrap around, as in PyTorch; they are computed in uint64, where that is defined.

template <class T>
T wrapped(uint64_t value) {
  return static_cast<T>(value);
}
template <class T>
uint64_t bits(T value) {
  return static_cast<uint64_t>(static_cast<int64_t>(value));
}

template <class T>
T integer_power(T base, T exponent) {
  uint64_t result = 1;
  uint64_t square = bits(base);
  for (auto rest = static_cast<uint64_t>(exponent); rest != 0; rest >>= 1u) {
    result *= (rest & 1u) != 0 ? square : 1;
    square *= square;
  }
  return wrapped<T>(result);
}

// Dividing the smallest number by -1 would trap.
template <class T>
bool is_minus_one(T y) {
  return std::is_signed_v<T> && y == static_cast<T>(-1);
}

// y is not 0: the op has checked.
template <class T>
T floor_divide(T x, T y) {
  if (is_minus_one(y)) {
    return wrapped<T>(0 - bits(x));
  }
  const T quotient = static_cast<T>(x / y);
  return static_cast<T>(quotient - ((x % y != 0) && ((x < 0) != (y < 0)) ? 1 : 0));
}
template <class T>
T integer_fmod(T x, T y) {
  return is_minus_one(y) ? T(0) : static_cast<T>(x % y);
}
template <class T>
T integer_remainder(T x, T y) {
  const T rest = integer_fmod(x, y);
  return rest != 0 && (rest < 0) != (y < 0) ? static_cast<T>(rest + y) : rest;
}

template <class T>
void integer_unary_of(UnaryOp op, T a, T b, const Tensor& x, Tensor& out) {
  switch (op) {
    case UnaryOp::abs: return map<T>(x, out, [](T v) { return v < 0 ? wrapped<T>(0 - bits(v)) : v; });
    case UnaryOp::add: return map<T>(x, out, [=](T v) { return wrapped<T>(bits(v) + bits(a)); });
    case UnaryOp::affine: return map<T>(x, out, [=](T v) { return wrapped<T>(bits(a) * bits(v) + bits(b)); });
    case UnaryOp::ceil:
    case UnaryOp::floor:
    case UnaryOp::round:
    case UnaryOp::trunc: return map<T>(x, out, [](T v) { return v; });
    case UnaryOp::clamp: return map<T>(x, out, [=](T v) { return v < a ? a : v > b ? b : v; });
    case UnaryOp::mul: return map<T>(x, out, [=](T v) { return wrapped<T>(bits(v) * bits(a)); });
    case UnaryOp::neg: return map<T>(x, out, [](T v) { return wrapped<T>(0 - bits(v)); });
    case UnaryOp::pow: return map<T>(x, out, [=](T v) { return integer_power(v, a); });
    case UnaryOp::relu: return map<T>(x, out, [](T v) { return v < 0 ? T(0) : v; });
    case UnaryOp::sign: return map<T>(x, out, [](T v) { return static_cast<T>((v > 0) - (v < 0)); });
    case UnaryOp::square: return map<T>(x, out, [](T v) { return wrapped<T>(bits(v) * bits(v)); });
    default: detail::fail_internal("elementwise: an op without an integer kernel");
  }
}

template <class T>
void integer_binary_of(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  switch (op) {
    case BinaryOp::add: return map<T>(a, b, out, [](T x, T y) { return wrapped<T>(bits(x) + bits(y)); });
    case BinaryOp::floor_divide: return map<T>(a, b, out, [](T x, T y) { return floor_divide(x, y); });
    case BinaryOp::fmod: return map<T>(a, b, out, [](T x, T y) { return integer_fmod(x, y); });
    case BinaryOp::maximum: return map<T>(a, b, out, [](T x, T y) { return x > y ? x : y; });
    case BinaryOp::minimum: return map<T>(a, b, out, [](T x, T y) { return x < y ? x : y; });
    case BinaryOp::mul: return map<T>(a, b, out, [](T x, T y) { return wrapped<T>(bits(x) * bits(y)); });
    case BinaryOp::remainder: return map<T>(a, b, out, [](T x, T y) { return integer_remainder(x, y); });
    case BinaryOp::sub: return map<T>(a, b, out, [](T x, T y) { return wrapped<T>(bits(x) - bits(y)); });
    default: detail::fail_internal("elementwise: an op without an integer kernel");
  }
}

// A bound of clamp(): the nearest number that T has, so that infinity means the largest one.
template <class T>
T saturated(double value) {
  constexpr auto low = static_cast<double>(std::numeric_limits<T>::min());
  constexpr auto high = static_cast<double>(std::numeric_limits<T>::max());
  return value <= low    ? std::numeric_limits<T>::min()
         : value >= high ? std::numeric_limits<T>::max()
                         : static_cast<T>(value);
}

// Any other number wraps around like the results (u8: -3 is 253); the op has checked that it is whole.
template <class T>
T constant_of(UnaryOp op, double value) {
  return op == UnaryOp::clamp ? saturated<T>(value) : static_cast<T>(static_cast<int64_t>(value));
}

}  // namespace

void unary(UnaryOp op, UnaryArgs args, const Tensor& x, Tensor& out) {
  dispatch<kNumbers>("elementwise", x.dtype(), [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      integer_unary_of<T>(op, constant_of<T>(op, args.a), constant_of<T>(op, args.b), x, out);
    } else {
      unary_of<T>(op, static_cast<Compute<T>>(args.a), static_cast<Compute<T>>(args.b), x, out);
    }
  });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  dispatch<kNumbers>("elementwise", a.dtype(), [&]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      integer_binary_of<T>(op, a, b, out);
    } else {
      binary_of<T>(op, a, b, out);
    }
  });
}

}  // namespace sfumato::reference
