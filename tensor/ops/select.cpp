#include "tensor/ops/select.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

Tensor nonzero(const Tensor& x) {
  const Tensor chosen = ne(x, 0).contiguous();
  const bool* flags = chosen.data<bool>();
  const int64_t count = std::count(flags, flags + x.numel(), true);
  Tensor out = Tensor::empty({count, x.dim()}, DType::i64);
  int64_t* row = out.mutable_data<int64_t>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    if (!flags[i]) {
      continue;
    }
    int64_t rest = i;
    for (int d = x.dim() - 1; d >= 0; --d) {
      row[d] = rest % x.shape()[d];
      rest /= x.shape()[d];
    }
    row += x.dim();
  }
  return out;
}

Tensor bincount(const Tensor& x, int64_t minlength) {
  check_dtype("bincount", kIntegers, x.dtype());
  check(x.dim() == 1, "bincount: input must be (N), got ", x.shape());
  check(minlength >= 0, "bincount: minlength must not be negative, got ", minlength);
  const Tensor values = x.to(DType::i64).contiguous();
  const int64_t* from = values.data<int64_t>();
  const int64_t largest = x.numel() > 0 ? *std::max_element(from, from + x.numel()) : -1;
  constexpr int64_t kMostBins = int64_t{1} << 32;
  check(largest < kMostBins, "bincount: element ", largest, " would need as many counts");
  Tensor counts = zeros({std::max(largest + 1, minlength)}, DType::i64);
  int64_t* to = counts.mutable_data<int64_t>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    check(from[i] >= 0, "bincount: elements must not be negative, got ", from[i]);
    ++to[from[i]];
  }
  return counts;
}

namespace {

// Ascending with NaNs last, and equal ones in their order.
template <class T>
bool comes_before(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    return a < b || (std::isnan(b) && !std::isnan(a));
  } else {
    return a < b;
  }
}

template <class T>
UniqueResult unique_of(const Tensor& flat, const Tensor& x) {
  using C = Compute<T>;
  const T* from = flat.data<T>();
  std::vector<int64_t> order(static_cast<size_t>(flat.numel()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return comes_before(static_cast<C>(from[a]), static_cast<C>(from[b]));
  });
  std::vector<int64_t> firsts, counts;
  UniqueResult result;
  result.inverse = Tensor::empty(x.shape(), DType::i64);
  int64_t* inverse = result.inverse.mutable_data<int64_t>();
  for (const int64_t i : order) {
    if (firsts.empty() || !(static_cast<C>(from[firsts.back()]) == static_cast<C>(from[i]))) {
      firsts.push_back(i);
      counts.push_back(0);
    }
    ++counts.back();
    inverse[i] = static_cast<int64_t>(firsts.size()) - 1;
  }
  const auto size = static_cast<int64_t>(firsts.size());
  result.values = Tensor::empty({size}, x.dtype());
  result.counts = Tensor::empty({size}, DType::i64);
  T* values = result.values.mutable_data<T>();
  std::transform(firsts.begin(), firsts.end(), values, [&](int64_t i) { return from[i]; });
  std::copy(counts.begin(), counts.end(), result.counts.mutable_data<int64_t>());
  return result;
}

}  // namespace

UniqueResult unique(const Tensor& x) {
  const Tensor flat = x.contiguous();
  return dispatch<kAllDTypes>("unique", x.dtype(), [&]<class T>() { return unique_of<T>(flat, x); });
}

bool equal(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && all(eq(a, b)).item() != 0; }

Tensor isclose(const Tensor& a, const Tensor& b, double rtol, double atol) {
  check_dtype("isclose", kFloats, a.dtype());
  check_dtype("isclose", kFloats, b.dtype());
  broadcast_shapes("isclose", a.shape(), b.shape());
  const Tensor x = a.to(DType::f64), y = b.to(DType::f64);
  const Tensor near = le(abs(x - y), abs(y) * rtol + atol);
  return logical_or(eq(x, y), logical_and(near, isfinite(y)));
}

}  // namespace sfumato
