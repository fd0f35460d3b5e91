#include "autograd/ops/view.h"

#include "autograd/record.h"

namespace sfumato {

Variable reshape(const Variable& x, const Shape& shape) {
  return record("reshape", reshape(x.tensor(), shape),
                wrt(x, [from = x.shape()](const Variable& g) { return reshape(g, from); }));
}

Variable flatten(const Variable& x, int64_t start, int64_t end) {
  return record("flatten", flatten(x.tensor(), start, end),
                wrt(x, [from = x.shape()](const Variable& g) { return reshape(g, from); }));
}

Variable permute(const Variable& x, const Dims& dims) {
  const Tensor out = permute(x.tensor(), dims);
  Dims inverse = dims;
  for (int i = 0; i < dims.rank(); ++i) {
    inverse[normalize_dim("permute", dims[i], x.dim())] = i;
  }
  return record("permute", out, wrt(x, [inverse](const Variable& g) { return permute(g, inverse); }));
}

Variable transpose(const Variable& x, int64_t a, int64_t b) {
  return record("transpose", transpose(x.tensor(), a, b),
                wrt(x, [a, b](const Variable& g) { return transpose(g, a, b); }));
}

// The engine sums a gradient down to a broadcast input's shape: nothing is left to do here.
Variable expand(const Variable& x, const Shape& shape) {
  return record("expand", expand(x.tensor(), shape), wrt(x, [](const Variable& g) { return g; }));
}

Variable unsqueeze(const Variable& x, int64_t dim) {
  return record("unsqueeze", unsqueeze(x.tensor(), dim),
                wrt(x, [from = x.shape()](const Variable& g) { return reshape(g, from); }));
}

Variable squeeze(const Variable& x, int64_t dim) {
  return record("squeeze", squeeze(x.tensor(), dim),
                wrt(x, [from = x.shape()](const Variable& g) { return reshape(g, from); }));
}

Variable slice(const Variable& x, int64_t dim, int64_t begin, int64_t end, int64_t step) {
  return record("slice", slice(x.tensor(), dim, begin, end, step),
                wrt(x, [from = x.shape(), dim, begin, end, step](const Variable& g) {
                  return slice_backward(g, from, dim, begin, end, step);
                }));
}

Variable narrow(const Variable& x, int64_t dim, int64_t begin, int64_t length) {
  return record("narrow", narrow(x.tensor(), dim, begin, length),
                wrt(x, [from = x.shape(), dim, begin, length](const Variable& g) {
                  return slice_backward(g, from, dim, begin, begin + length);
                }));
}

Variable select(const Variable& x, int64_t dim, int64_t i) {
  const Tensor out = select(x.tensor(), dim, i);
  const int d = normalize_dim("select", dim, x.dim());
  const int64_t at = i < 0 ? i + x.size(d) : i;
  return record("select", out, wrt(x, [from = x.shape(), d, at](const Variable& g) {
                  return slice_backward(unsqueeze(g, d), from, d, at, at + 1);
                }));
}

Variable slice_backward(const Variable& g, const Shape& shape, int64_t dim, int64_t begin, int64_t end, int64_t step) {
  Tensor out = zeros(shape, g.dtype());
  Tensor target = slice(out, dim, begin, end, step);
  check(target.shape() == g.shape(), "slice_backward: the slice has shape ", target.shape(), " but the gradient ",
        g.shape());
  target.copy_from(g.tensor());
  return record("slice_backward", out,
                wrt(g, [dim, begin, end, step](const Variable& gg) { return slice(gg, dim, begin, end, step); }));
}

}  // namespace sfumato
