// What the rows of reductions, scans, sorting and norms share: draws of a shape with a dimension, and formulas over
// plain lists of numbers.
#pragma once

#include <functional>
#include <vector>

#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {

using Numbers = std::vector<double>;

// f of the elements that `dims` (all when empty) put together.
inline Tensor by_groups(const Tensor& x, const Dims& dims, bool keepdim, const std::function<double(Numbers)>& f) {
  uint32_t mask = dims.rank() == 0 ? (1u << x.dim()) - 1u : 0;
  for (const int64_t dim : dims) mask |= 1u << (dim < 0 ? dim + x.dim() : dim);
  Dims order;
  Shape shape;
  int64_t size = 1;
  for (int d = 0; d < x.dim(); ++d) {
    const bool reduced = (mask >> d & 1u) != 0;
    if (!reduced) order.push_back(d);
    if (!reduced || keepdim) shape.push_back(reduced ? 1 : x.shape()[d]);
  }
  for (int d = 0; d < x.dim(); ++d) {
    if ((mask >> d & 1u) == 0) continue;
    order.push_back(d);
    size *= x.shape()[d];
  }
  const Numbers values = permute(x, order).to_vector();
  Numbers results;
  for (int64_t i = 0; i < shape.numel(); ++i) {
    results.push_back(f(Numbers(values.begin() + i * size, values.begin() + (i + 1) * size)));
  }
  return tensor_of(results, shape, DType::f64);
}

// f of every line along `dim`; its results have one length.
inline Tensor by_lines(const Tensor& x, int64_t dim, const std::function<Numbers(Numbers)>& f) {
  if (x.dim() == 0) return reshape(by_lines(reshape(x, {1}), 0, f), {});
  const Tensor rows = transpose(x, dim, -1);
  const int64_t size = rows.size(-1);
  const Numbers values = rows.to_vector();
  Numbers results;
  for (int64_t i = 0; size > 0 && i < x.numel() / size; ++i) {
    for (const double v : f(Numbers(values.begin() + i * size, values.begin() + (i + 1) * size))) results.push_back(v);
  }
  Shape shape = rows.shape();
  shape[shape.rank() - 1] = static_cast<int64_t>(f(Numbers(static_cast<size_t>(size))).size());
  return transpose(tensor_of(results, shape, DType::f64), dim, -1);
}

// Any shape, now and then one of the U-Net's.
inline Shape tensor_shape(Draw& d) {
  if (d.sizes() == Sizes::any && d.chance(0.03)) {
    return d.pick({Shape{2, 128, 32, 32}, Shape{2, 256, 16, 16}, Shape{4, 3, 32, 32}, Shape{4, 128}});
  }
  return d.shape();
}

struct Axis {
  Shape shape;
  int64_t dim;
};
inline Axis axis(Draw& d) {
  const Shape shape = tensor_shape(d);
  return {shape, shape.rank() == 0 ? d.pick<int64_t>({0, -1}) : d.dim(shape)};
}
// The same where the dimension itself may not be empty.
inline Axis nonempty_axis(Draw& d) {
  if (d.sizes() == Sizes::empty) return d.pick({Axis{{0, 3}, -1}, Axis{{3, 0, 2}, 0}});
  return axis(d);
}

// The dimension as a list, empty for a tensor of rank 0. Inlined, gcc 12 would fear for the list's unused entries.
[[gnu::noinline]] inline Dims listed(const Axis& at) { return at.shape.rank() == 0 ? Dims{} : Dims{at.dim}; }

// Numbers of any dtype; apart from each other where derivatives need that, else with ties now and then.
inline Tensor values_of(Draw& d, const Shape& shape) {
  if (d.dtype() == DType::boolean) return d.bits(shape);
  return d.sizes() == Sizes::small ? d.distinct(shape) : d.normal(shape);
}

// Floats are positive: a sum that cancels has no relative accuracy.
inline Tensor summands(Draw& d, const Shape& shape) {
  if (d.dtype() == DType::boolean) return d.bits(shape);
  return d.integers() ? d.normal(shape) : d.positive(shape);
}
// Factors near 1 of both signs, some of them 0; of integers 1 and -1, so that none overflows.
inline Tensor factors(Draw& d, const Shape& shape) {
  if (d.dtype() == DType::boolean || d.dtype() == DType::u8) return d.bits(shape);
  const Tensor signs = affine(d.bits(shape), 2, -1);
  if (d.integers()) return signs;
  const Tensor values = mul(d.uniform(shape, 0.9, 1.1), signs);
  return d.chance(0.3) ? masked_fill(values, eq(d.indices(shape, 4), 0.0), 0) : values;
}

inline DType i64_unless_float(DType dtype) { return is_floating(dtype) ? dtype : DType::i64; }

}  // namespace sfumato::testing
