#include "autograd/ops/select.h"

#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

Variable scatter(const Variable& x, int64_t dim, const Tensor& index, const Variable& source) {
  check(source.dtype() == x.dtype(), "scatter: the input is ", x.dtype(), " but the source ", source.dtype());
  return record(
      "scatter", scatter(x.tensor(), dim, index, source.tensor()),
      wrt(x, [dim, index = save(index)](const Variable& g) { return scatter(g, dim, index().tensor(), 0.0); }),
      wrt(source, [dim, index = save(index)](const Variable& g) { return gather(g, dim, index().tensor()); }));
}

Variable scatter(const Variable& x, int64_t dim, const Tensor& index, double value) {
  return scatter(x, dim, index, Variable(full(index.shape(), value, x.dtype())));
}

Variable take_along_dim(const Variable& x, const Tensor& index, int64_t dim) {
  check(x.dim() > 0 && x.dim() == index.dim(), "take_along_dim: input ", x.shape(), " and index ", index.shape(),
        " must have one rank, at least 1");
  const int d = normalize_dim("take_along_dim", dim, x.dim());
  Shape of_x = x.shape(), of_index = index.shape();
  of_x[d] = of_index[d] = 1;
  const Shape common = broadcast_shapes("take_along_dim", of_x, of_index);
  of_x = of_index = common;
  of_x[d] = x.shape()[d];
  of_index[d] = index.shape()[d];
  return gather(expand(x, of_x), d, expand(index, of_index));
}

Variable index_fill(const Variable& x, int64_t dim, const Tensor& index, double value) {
  check(x.dim() > 0, "index_fill: a tensor of rank 0 has no dimension to fill");
  check(index.dim() == 1, "index_fill: the index must have rank 1, got shape ", index.shape());
  const int d = normalize_dim("index_fill", dim, x.dim());
  const int64_t size = x.shape()[d];
  check(kIndices.contains(index.dtype()), "index_fill: an index must be i64 or i32, got ", index.dtype());
  Tensor filled = zeros({size}, DType::boolean);
  for (const double i : index.to_vector()) {
    check(i >= 0 && i < static_cast<double>(size), "index_fill: index ", i, " is out of range for size ", size);
    filled.mutable_data<bool>()[static_cast<int64_t>(i)] = true;
  }
  Shape along = Shape::filled(x.dim(), 1);
  along[d] = size;
  return masked_fill(x, filled.reshape(along), value);
}

Variable masked_select(const Variable& x, const Tensor& mask) {
  check(mask.dtype() == DType::boolean, "masked_select: the mask must be bool, got ", mask.dtype());
  const Shape shape = broadcast_shapes("masked_select", x.shape(), mask.shape());
  const Tensor places = nonzero(expand(mask, shape).contiguous().reshape({shape.numel()}));
  return index_select(reshape(expand(x, shape), {shape.numel()}), 0, places.reshape({places.size(0)}));
}

Variable clamp(const Variable& x, const Variable& min, const Variable& max) {
  check_dtype("clamp", kNumbers, x.dtype());
  return minimum(maximum(x, min), max);
}

Variable nan_to_num(const Variable& x, double nan, double posinf, double neginf) {
  check_dtype("nan_to_num", kFloats, x.dtype());
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Variable numbers = masked_fill(x, isnan(x.tensor()), nan);
  return masked_fill(masked_fill(numbers, eq(x.tensor(), infinity), posinf), eq(x.tensor(), -infinity), neginf);
}

Variable nan_to_num(const Variable& x, double nan) {
  check_dtype("nan_to_num", kFloats, x.dtype());
  const double most = x.dtype() == DType::f64    ? std::numeric_limits<double>::max()
                      : x.dtype() == DType::bf16 ? static_cast<double>(static_cast<float>(BFloat16(0x1.fep127f)))
                                                 : static_cast<double>(std::numeric_limits<float>::max());
  return nan_to_num(x, nan, most, -most);
}

}  // namespace sfumato
