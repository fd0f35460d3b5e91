// Elementwise kernels as their formulas read, in f32 and f64.
#include <cmath>

#include "tensor/backend/backend.h"
#include "tensor/iterator.h"

namespace sfumato::reference {
namespace {

constexpr int64_t kGrain = 1 << 12;

template <class T, class F>
void map(const Tensor& x, Tensor& out, F f) {
  const T* in = x.data<T>();
  T* to = out.mutable_data<T>();
  ElementwiseIterator(out.shape(), {&out, &x}).for_each_run(kGrain, [&](const auto& run) {
    for (int64_t i = 0; i < run.count; ++i) {
      to[run.offset[0] + i * run.stride[0]] = f(in[run.offset[1] + i * run.stride[1]]);
    }
  });
}

template <class T, class F>
void map(const Tensor& a, const Tensor& b, Tensor& out, F f) {
  const T* left = a.data<T>();
  const T* right = b.data<T>();
  T* to = out.mutable_data<T>();
  ElementwiseIterator(out.shape(), {&out, &a, &b}).for_each_run(kGrain, [&](const auto& run) {
    for (int64_t i = 0; i < run.count; ++i) {
      to[run.offset[0] + i * run.stride[0]] =
          f(left[run.offset[1] + i * run.stride[1]], right[run.offset[2] + i * run.stride[2]]);
    }
  });
}

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

template <class T>
void unary_of(UnaryOp op, T a, T b, const Tensor& x, Tensor& out) {
  switch (op) {
    case UnaryOp::abs: return map<T>(x, out, [](T v) { return std::abs(v); });
    case UnaryOp::affine: return map<T>(x, out, [=](T v) { return a * v + b; });
    case UnaryOp::ceil: return map<T>(x, out, [](T v) { return std::ceil(v); });
    case UnaryOp::clamp: return map<T>(x, out, [=](T v) { return v < a ? a : v > b ? b : v; });
    case UnaryOp::cos: return map<T>(x, out, [](T v) { return std::cos(v); });
    case UnaryOp::erf: return map<T>(x, out, [](T v) { return std::erf(v); });
    case UnaryOp::exp: return map<T>(x, out, [](T v) { return std::exp(v); });
    case UnaryOp::expm1: return map<T>(x, out, [](T v) { return std::expm1(v); });
    case UnaryOp::floor: return map<T>(x, out, [](T v) { return std::floor(v); });
    case UnaryOp::gelu: return map<T>(x, out, [](T v) { return T(0.5) * v * (T(1) + std::erf(v * T(M_SQRT1_2))); });
    case UnaryOp::gelu_tanh: return map<T>(x, out, [](T v) { return gelu_tanh(v); });
    case UnaryOp::leaky_relu: return map<T>(x, out, [=](T v) { return v > 0 ? v : a * v; });
    case UnaryOp::log: return map<T>(x, out, [](T v) { return std::log(v); });
    case UnaryOp::log1p: return map<T>(x, out, [](T v) { return std::log1p(v); });
    case UnaryOp::neg: return map<T>(x, out, [](T v) { return -v; });
    case UnaryOp::pow: return map<T>(x, out, [=](T v) { return std::pow(v, a); });
    case UnaryOp::reciprocal: return map<T>(x, out, [](T v) { return T(1) / v; });
    case UnaryOp::relu: return map<T>(x, out, [](T v) { return v < 0 ? T(0) : v; });
    case UnaryOp::round: return map<T>(x, out, [](T v) { return std::nearbyint(v); });
    case UnaryOp::rsqrt: return map<T>(x, out, [](T v) { return T(1) / std::sqrt(v); });
    case UnaryOp::sigmoid: return map<T>(x, out, [](T v) { return sigmoid(v); });
    case UnaryOp::sign: return map<T>(x, out, [](T v) { return T((v > 0) - (v < 0)); });
    case UnaryOp::silu: return map<T>(x, out, [](T v) { return v * sigmoid(v); });
    case UnaryOp::sin: return map<T>(x, out, [](T v) { return std::sin(v); });
    // log(1 + exp(x)) without overflow.
    case UnaryOp::softplus:
      return map<T>(x, out, [](T v) { return std::max(v, T(0)) + std::log1p(std::exp(-std::abs(v))); });
    case UnaryOp::sqrt: return map<T>(x, out, [](T v) { return std::sqrt(v); });
    case UnaryOp::square: return map<T>(x, out, [](T v) { return v * v; });
    case UnaryOp::tanh: return map<T>(x, out, [](T v) { return std::tanh(v); });
  }
}

template <class T>
void binary_of(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  switch (op) {
    case BinaryOp::add: return map<T>(a, b, out, [](T x, T y) { return x + y; });
    case BinaryOp::sub: return map<T>(a, b, out, [](T x, T y) { return x - y; });
    case BinaryOp::mul: return map<T>(a, b, out, [](T x, T y) { return x * y; });
    case BinaryOp::div: return map<T>(a, b, out, [](T x, T y) { return x / y; });
    case BinaryOp::maximum: return map<T>(a, b, out, [](T x, T y) { return larger(x, y); });
    case BinaryOp::minimum: return map<T>(a, b, out, [](T x, T y) { return smaller(x, y); });
    case BinaryOp::silu_backward:
      return map<T>(a, b, out, [](T g, T x) {
        const T s = sigmoid(x);
        return g * s * (T(1) + x * (T(1) - s));
      });
  }
}

}  // namespace

void unary(UnaryOp op, UnaryArgs args, const Tensor& x, Tensor& out) {
  dispatch_floating("elementwise", x.dtype(),
                    [&]<class T>() { unary_of<T>(op, static_cast<T>(args.a), static_cast<T>(args.b), x, out); });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  dispatch_floating("elementwise", a.dtype(), [&]<class T>() { binary_of<T>(op, a, b, out); });
}

}  // namespace sfumato::reference
