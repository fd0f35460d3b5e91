// Ops that walk along one dimension: cumsum and argmax (declared in "tensor/ops/reduce.h").
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "tensor/ops/reduce.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

constexpr int64_t kGrain = 16384;  // elements below which a second thread does not pay
constexpr int64_t kLines = 64;     // lines walked side by side, so that memory is read in order when inner > 1

// Calls f(offset, line, width) for blocks of `width` neighbouring lines of a contiguous (outer, size, inner) tensor, in
// parallel; element j of line (line + k) lies at offset + j * inner + k.
template <class F>
void for_each_line_block(const Shape& shape, int dim, int64_t& inner, F&& f) {
  int64_t outer = 1;
  inner = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    (d < dim ? outer : inner) *= d == dim ? 1 : shape[d];
  }
  const int64_t size = shape[dim];
  const int64_t blocks = (inner + kLines - 1) / kLines;
  const int64_t per_block = std::max<int64_t>(size * std::min(inner, kLines), 1);
  parallel_for(outer * blocks, std::max<int64_t>(1, kGrain / per_block), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b % blocks * kLines;
      f(b / blocks * size * inner + first, b / blocks * inner + first, std::min(kLines, inner - first));
    }
  });
}

// Whether v takes the place of `best`; as in PyTorch a NaN is larger than any number.
template <class T>
bool beats(T v, T best) {
  if constexpr (std::is_floating_point_v<T>) {
    return v > best || (std::isnan(v) && !std::isnan(best));
  } else {
    return v > best;
  }
}

}  // namespace

Tensor cumsum(const Tensor& x, int64_t dim, bool reverse) {
  const int d = normalize_dim("cumsum", dim, x.dim());
  return dispatch<kReals>("cumsum", x.dtype(), [&]<class T>() {
    if (x.dim() == 0) {
      return x.clone();
    }
    const Tensor dense = x.contiguous();
    Tensor out = Tensor::empty(x.shape(), x.dtype());
    const T* from = dense.data<T>();
    T* to = out.mutable_data<T>();
    const int64_t size = x.shape()[d];
    int64_t inner = 1;
    for_each_line_block(x.shape(), d, inner, [&](int64_t offset, int64_t, int64_t width) {
      double sums[kLines] = {};  // in f64, as a sum of many f32 should be
      for (int64_t step = 0; step < size; ++step) {
        const int64_t at = offset + (reverse ? size - 1 - step : step) * inner;
        for (int64_t k = 0; k < width; ++k) {
          sums[k] += static_cast<double>(from[at + k]);
          to[at + k] = static_cast<T>(sums[k]);
        }
      }
    });
    return out;
  });
}

Tensor argmax(const Tensor& x, int64_t dim, bool keepdim) {
  const int d = normalize_dim("argmax", dim, x.dim());
  if (x.dim() == 0) {
    return zeros({}, DType::i64);
  }
  check(x.shape()[d] > 0, "argmax: dimension ", d, " of shape ", x.shape(), " is empty and has no largest element");
  check(x.dtype() != DType::bf16, "argmax: not defined for dtype bf16");
  const Tensor dense = x.contiguous();
  Tensor out = Tensor::empty(reduced_shape(x.shape(), 1u << d, keepdim), DType::i64);
  int64_t* to = out.mutable_data<int64_t>();
  const int64_t size = x.shape()[d];
  dispatch<kAllDTypes>("argmax", x.dtype(), [&]<class T>() {
    if constexpr (!std::is_same_v<T, BFloat16>) {
      const T* from = dense.data<T>();
      int64_t inner = 1;
      for_each_line_block(x.shape(), d, inner, [&](int64_t offset, int64_t line, int64_t width) {
        int64_t best[kLines] = {};
        for (int64_t j = 1; j < size; ++j) {
          for (int64_t k = 0; k < width; ++k) {
            const T* column = from + offset + k;
            best[k] = beats(column[j * inner], column[best[k] * inner]) ? j : best[k];
          }
        }
        std::copy_n(best, width, to + line);
      });
    }
  });
  return out;
}

}  // namespace sfumato
