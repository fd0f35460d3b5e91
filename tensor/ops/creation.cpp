#include "tensor/ops/creation.h"

#include <cmath>

namespace sfumato {

Tensor empty(const Shape& shape, DType dtype) { return Tensor::empty(shape, dtype); }
Tensor empty_like(const Tensor& x) { return Tensor::empty(x.shape(), x.dtype()); }

Tensor full(const Shape& shape, double value, DType dtype) {
  Tensor out = Tensor::empty(shape, dtype);
  out.fill(value);
  return out;
}
Tensor zeros(const Shape& shape, DType dtype) { return full(shape, 0, dtype); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }
Tensor zeros_like(const Tensor& x) { return full(x.shape(), 0, x.dtype()); }
Tensor ones_like(const Tensor& x) { return full(x.shape(), 1, x.dtype()); }
Tensor full_like(const Tensor& x, double value) { return full(x.shape(), value, x.dtype()); }
Tensor scalar(double value, DType dtype) { return full({}, value, dtype); }

namespace {

template <class F>
Tensor from_index(int64_t count, DType dtype, F&& value_at) {
  Tensor values = Tensor::empty({count}, DType::f64);
  double* out = values.mutable_data<double>();
  for (int64_t i = 0; i < count; ++i) {
    out[i] = value_at(i);
  }
  return values.to(dtype);
}

}  // namespace

Tensor arange(double start, double end, double step, DType dtype) {
  check(step != 0 && std::isfinite(step) && std::isfinite(start) && std::isfinite(end),
        "arange: start, end and step must be finite and step not 0, got ", start, ", ", end, ", ", step);
  const double count = std::max(0.0, std::ceil((end - start) / step));
  check(count < 0x1p53, "arange: ", count, " elements are too many");
  return from_index(static_cast<int64_t>(count), dtype,
                    [&](int64_t i) { return start + static_cast<double>(i) * step; });
}

Tensor linspace(double start, double end, int64_t count, DType dtype) {
  check(count >= 0, "linspace: count must not be negative, got ", count);
  const double step = count > 1 ? (end - start) / static_cast<double>(count - 1) : 0;
  // Counted from the nearer end, so that both ends are exact.
  return from_index(count, dtype, [&](int64_t i) {
    return i < (count + 1) / 2 ? start + static_cast<double>(i) * step
                               : end - static_cast<double>(count - 1 - i) * step;
  });
}

Tensor eye(int64_t n, DType dtype) {
  Tensor out = zeros({n, n}, dtype);
  out.as_strided({n}, {n + 1}, 0).fill(1);
  return out;
}

Tensor tensor_of(std::span<const double> values, const Shape& shape, DType dtype) {
  check(checked_numel("tensor_of", shape) == static_cast<int64_t>(values.size()), "tensor_of: ", values.size(),
        " values for shape ", shape);
  return from_index(shape.numel(), dtype, [&](int64_t i) { return values[static_cast<size_t>(i)]; }).reshape(shape);
}

Tensor tensor_of(std::initializer_list<double> values, const Shape& shape, DType dtype) {
  return tensor_of(std::span<const double>(values.begin(), values.size()), shape, dtype);
}

}  // namespace sfumato
