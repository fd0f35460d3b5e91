#include "tensor/shape.h"

namespace sfumato {

std::string to_string(const Dims& dims) {
  std::string text = "(";
  for (int i = 0; i < dims.rank(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  }
  return text + (dims.rank() == 1 ? ",)" : ")");
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides = Strides::filled(shape.rank(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) {
    strides[i] = strides[i + 1] * std::max<int64_t>(shape[i + 1], 1);
  }
  return strides;
}

Shape broadcast_shapes(std::string_view op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out = Shape::filled(rank, 1);
  for (int i = 1; i <= rank; ++i) {
    const int64_t size_a = i <= a.rank() ? a[a.rank() - i] : 1;
    const int64_t size_b = i <= b.rank() ? b[b.rank() - i] : 1;
    check(size_a == size_b || size_a == 1 || size_b == 1, op, ": shapes ", a, " and ", b,
          " do not broadcast: dimension ", rank - i, " is ", size_a, " against ", size_b);
    out[rank - i] = size_a == 1 ? size_b : size_a;
  }
  return out;
}

int normalize_dim(std::string_view op, int64_t dim, int rank) {
  const int64_t range = std::max(rank, 1);
  check(dim >= -range && dim < range, op, ": dim ", dim, " is out of range for rank ", rank, " (expected ", -range,
        "..", range - 1, ")");
  return static_cast<int>(dim < 0 ? dim + range : dim);
}

int64_t checked_numel(std::string_view op, const Shape& shape) {
  int64_t product = 1;
  bool overflow = false;
  bool empty = false;
  for (const int64_t size : shape) {
    check(size >= 0, op, ": negative size in shape ", shape);
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product);
  }
  check(!overflow && product < (int64_t{1} << 59), op, ": shape ", shape, " has too many elements");
  return empty ? 0 : product;
}

}  // namespace sfumato
