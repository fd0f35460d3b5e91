// Extrema with their places (declared in "tensor/ops/reduce.h"): max, min, argmax, argmin.
#include "tensor/ops/lines.h"
#include "tensor/ops/reduce.h"

namespace sfumato {
namespace {

template <bool largest, class T>
void find(const Lines& lines, const T* from, T* values, int64_t* indices) {
  lines.for_each_block([&](int64_t offset, int64_t line, int64_t width) {
    T best[Lines::kWidth];
    int64_t at[Lines::kWidth] = {};
    std::copy_n(from + offset, width, best);
    for (int64_t j = 1; j < lines.size; ++j) {
      const T* row = from + offset + j * lines.inner;
      for (int64_t k = 0; k < width; ++k) {
        const bool better = beats<largest>(row[k], best[k]);
        best[k] = better ? row[k] : best[k];
        at[k] = better ? j : at[k];
      }
    }
    std::copy_n(best, width, values + line);
    std::copy_n(at, width, indices + line);
  });
}

template <bool largest>
IndexedResult extremum(const char* op, const Tensor& x, int64_t dim, bool keepdim) {
  const int d = normalize_dim(op, dim, x.dim());
  const uint32_t mask = x.dim() == 0 ? 0 : 1u << d;
  check(reduced_count(x.shape(), mask) > 0, op, ": dimension ", d, " of shape ", x.shape(),
        " is empty and has no extremum");
  if (x.dtype() == DType::bf16) {
    const IndexedResult wide = extremum<largest>(op, x.to(DType::f32), dim, keepdim);
    return {wide.values.to(DType::bf16), wide.indices};
  }
  const Shape shape = reduced_shape(x.shape(), mask, keepdim);
  IndexedResult out{Tensor::empty(shape, x.dtype()), Tensor::empty(shape, DType::i64)};
  const Tensor dense = x.contiguous();
  dispatch<kReals | kIntegers | DTypeSet{DType::boolean}>(op, x.dtype(), [&]<class T>() {
    find<largest>(Lines(x.shape(), d), dense.data<T>(), out.values.mutable_data<T>(),
                  out.indices.mutable_data<int64_t>());
  });
  return out;
}

template <bool largest>
Tensor index_in_all(const char* op, const Tensor& x) {
  check(x.numel() > 0, op, ": the tensor of shape ", x.shape(), " is empty and has no extremum");
  return extremum<largest>(op, x.reshape({x.numel()}), 0, false).indices;
}

}  // namespace

IndexedResult max(const Tensor& x, int64_t dim, bool keepdim) { return extremum<true>("max", x, dim, keepdim); }
IndexedResult min(const Tensor& x, int64_t dim, bool keepdim) { return extremum<false>("min", x, dim, keepdim); }

Tensor argmax(const Tensor& x) { return index_in_all<true>("argmax", x); }
Tensor argmax(const Tensor& x, int64_t dim, bool keepdim) { return extremum<true>("argmax", x, dim, keepdim).indices; }
Tensor argmin(const Tensor& x) { return index_in_all<false>("argmin", x); }
Tensor argmin(const Tensor& x, int64_t dim, bool keepdim) { return extremum<false>("argmin", x, dim, keepdim).indices; }

}  // namespace sfumato
