#include "tensor/ops/scan.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/ops/lines.h"

namespace sfumato {
namespace {

// In f64 as a long sum of f32 should be; integers wrap, which is defined for unsigned ones alone.
template <class T>
using Running = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

// to[t] = step(state, element t), the state beginning as `start` in every line.
template <class State, class T, class To, class Step>
void scan_lines(const Lines& lines, bool reverse, const T* from, To* to, State start, const Step& step) {
  lines.for_each_block([&](int64_t offset, int64_t, int64_t width) {
    State state[Lines::kWidth];
    std::fill_n(state, width, start);
    for (int64_t j = 0; j < lines.size; ++j) {
      const int64_t at = offset + (reverse ? lines.size - 1 - j : j) * lines.inner;
      for (int64_t k = 0; k < width; ++k) {
        to[at + k] = static_cast<To>(step(state[k], from[at + k], at + k));
      }
    }
  });
}

constexpr DTypeSet kScanned = kReals | kIntegers | DTypeSet{DType::boolean};

// cumsum or cumprod.
template <bool product>
Tensor accumulate(const char* op, const Tensor& x, int64_t dim, bool reverse) {
  const int d = normalize_dim(op, dim, x.dim());
  if (x.dtype() == DType::bf16) {
    return accumulate<product>(op, x.to(DType::f32), dim, reverse).to(DType::bf16);
  }
  const Tensor dense = x.contiguous();
  Tensor out = Tensor::empty(x.shape(), is_floating(x.dtype()) ? x.dtype() : DType::i64);
  dispatch<kScanned>(op, x.dtype(), [&]<class T>() {
    using Total = Running<T>;
    const auto run = [&]<class To>(To* to) {
      scan_lines<Total>(Lines(x.shape(), d), reverse, dense.data<T>(), to, Total(product ? 1 : 0),
                        [](Total& total, T v, int64_t) {
                          total = product ? total * static_cast<Total>(v) : total + static_cast<Total>(v);
                          return total;
                        });
    };
    if constexpr (std::is_floating_point_v<T>) {
      run(out.mutable_data<T>());
    } else {
      run(out.mutable_data<int64_t>());
    }
  });
  return out;
}

template <bool largest>
IndexedResult running_extremum(const char* op, const Tensor& x, int64_t dim) {
  const int d = normalize_dim(op, dim, x.dim());
  if (x.dtype() == DType::bf16) {
    const IndexedResult wide = running_extremum<largest>(op, x.to(DType::f32), dim);
    return {wide.values.to(DType::bf16), wide.indices};
  }
  const Tensor dense = x.contiguous();
  IndexedResult out{Tensor::empty(x.shape(), x.dtype()), Tensor::empty(x.shape(), DType::i64)};
  dispatch<kScanned>(op, x.dtype(), [&]<class T>() {
    const Lines lines(x.shape(), d);
    T* values = out.values.mutable_data<T>();
    struct Best {
      T value;
      int64_t step;  // of the element at hand
      int64_t at;    // of the best one
    };
    scan_lines<Best>(lines, false, dense.data<T>(), out.indices.mutable_data<int64_t>(), Best{T(0), 0, 0},
                     [values](Best& best, T v, int64_t place) {
                       const bool stays = beats<largest>(best.value, v);
                       if (best.step == 0 || !stays) {
                         best.value = v;
                         best.at = best.step;
                       }
                       ++best.step;
                       values[place] = best.value;
                       return best.at;
                     });
  });
  return out;
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t dim, bool reverse) { return accumulate<false>("cumsum", x, dim, reverse); }
Tensor cumprod(const Tensor& x, int64_t dim, bool reverse) { return accumulate<true>("cumprod", x, dim, reverse); }

IndexedResult cummax(const Tensor& x, int64_t dim) { return running_extremum<true>("cummax", x, dim); }
IndexedResult cummin(const Tensor& x, int64_t dim) { return running_extremum<false>("cummin", x, dim); }

// The state is (m, s) with log(sum) = m + log(s): the largest so far, and the sum of exponentials relative to it.
Tensor logcumsumexp(const Tensor& x, int64_t dim) {
  const int d = normalize_dim("logcumsumexp", dim, x.dim());
  check_dtype("logcumsumexp", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return logcumsumexp(x.to(DType::f32), dim).to(DType::bf16);
  }
  const Tensor dense = x.contiguous();
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  constexpr double infinity = std::numeric_limits<double>::infinity();
  struct State {
    double top = -infinity;
    double sum = 0;
  };
  dispatch<kReals>("logcumsumexp", x.dtype(), [&]<class T>() {
    scan_lines<State>(Lines(x.shape(), d), false, dense.data<T>(), out.mutable_data<T>(), State{},
                      [](State& state, T element, int64_t) {
                        const auto v = static_cast<double>(element);
                        if (v > state.top) {
                          // From minus infinity there is nothing to carry over; and inf - inf would be NaN.
                          state.sum = state.sum == 0 ? 1 : state.sum * std::exp(state.top - v) + 1;
                          state.top = v;
                        } else if (v != -infinity) {
                          state.sum += v == state.top ? 1 : std::exp(v - state.top);  // NaN stays NaN
                        }
                        return state.top + std::log(state.sum);
                      });
  });
  return out;
}

Tensor linear_scan(const Tensor& a, const Tensor& b, int64_t dim, bool reverse) {
  const int d = normalize_dim("linear_scan", dim, b.dim());
  check(a.shape() == b.shape(), "linear_scan: a has shape ", a.shape(), " but b has ", b.shape());
  check(a.dtype() == b.dtype(), "linear_scan: a is ", a.dtype(), " but b is ", b.dtype());
  check_dtype("linear_scan", kFloats, a.dtype());
  if (a.dtype() == DType::bf16) {
    return linear_scan(a.to(DType::f32), b.to(DType::f32), dim, reverse).to(DType::bf16);
  }
  const Tensor factors = a.contiguous();
  const Tensor terms = b.contiguous();
  Tensor out = Tensor::empty(b.shape(), b.dtype());
  dispatch<kReals>("linear_scan", b.dtype(), [&]<class T>() {
    const T* factor = factors.data<T>();
    scan_lines<double>(Lines(b.shape(), d), reverse, terms.data<T>(), out.mutable_data<T>(), 0.0,
                       [factor](double& h, T term, int64_t place) {
                         h = h * static_cast<double>(factor[place]) + static_cast<double>(term);
                         return h;
                       });
  });
  return out;
}

}  // namespace sfumato
