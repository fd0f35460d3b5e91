// The lines of one dimension: walked step by step (scan.cpp, extremum.cpp), or laid out as rows (sort.cpp, norm.cpp).
//
//   const Lines lines(x.shape(), dim);
//   lines.for_each_block([&](int64_t offset, int64_t line, int64_t width) {
//     for (int64_t j = 0; j < lines.size; ++j)
//       for (int64_t k = 0; k < width; ++k) use(data[offset + j * lines.inner + k]);   // element j of line (line + k)
//   });
#pragma once

#include <algorithm>

#include "tensor/ops/view.h"
#include "tensor/parallel.h"

namespace sfumato {

// A contiguous tensor seen as (outer, size, inner) around one dimension.
struct Lines {
  static constexpr int64_t kWidth = 64;       // lines walked side by side, so that memory is read in order if inner > 1
  static constexpr int64_t kGrain = 1 << 14;  // elements below which a second thread does not pay

  int64_t outer = 1, size = 1, inner = 1;

  // A shape of rank 0 is one line of one element.
  Lines(const Shape& shape, int dim) {
    for (int d = 0; d < shape.rank(); ++d) {
      (d < dim ? outer : d > dim ? inner : size) *= shape[d];
    }
  }

  int64_t count() const { return outer * inner; }

  // Blocks of at most kWidth neighbouring lines, in parallel.
  template <class F>
  void for_each_block(F&& f) const {
    const int64_t blocks = (inner + kWidth - 1) / kWidth;
    const int64_t per_block = std::max<int64_t>(size * std::min(inner, kWidth), 1);
    parallel_for(outer * blocks, std::max<int64_t>(1, kGrain / per_block), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b % blocks * kWidth;
        f(b / blocks * size * inner + first, b / blocks * inner + first, std::min(kWidth, inner - first));
      }
    });
  }
};

// Dimension d exchanged with the last one, so that lines are contiguous rows; and back. A tensor of rank 0 is a row.
inline Tensor to_rows(const Tensor& x, int d) {
  return x.dim() == 0 ? x.reshape({1}) : transpose(x, d, -1).contiguous();
}
inline Tensor from_rows(const Tensor& rows, int d, int rank) {
  return rank == 0 ? rows.reshape({}) : transpose(rows, d, -1).contiguous();
}

// Whether v takes the place of `best` as the largest or the smallest: a NaN beats every number, the first one stays.
template <bool largest, class T>
bool beats(T v, T best) {
  const bool wins = largest ? v > best : v < best;
  return wins || (v != v && best == best);
}

}  // namespace sfumato
