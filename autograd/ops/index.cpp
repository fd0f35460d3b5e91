#include "autograd/ops/index.h"

#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {

Variable index_select(const Variable& x, int64_t dim, const Tensor& index) {
  const Tensor out = index_select(x.tensor(), dim, index);
  return record("index_select", out, wrt(x, [dim, index = save(index), size = x.size(dim)](const Variable& g) {
                  return index_add(g, dim, index().tensor(), size);
                }));
}

Variable index_add(const Variable& source, int64_t dim, const Tensor& index, int64_t size) {
  return record(
      "index_add", index_add(source.tensor(), dim, index, size),
      wrt(source, [dim, index = save(index)](const Variable& g) { return index_select(g, dim, index().tensor()); }));
}

Variable gather(const Variable& x, int64_t dim, const Tensor& index) {
  return record("gather", gather(x.tensor(), dim, index),
                wrt(x, [dim, index = save(index), from = x.shape()](const Variable& g) {
                  return scatter_add(g, dim, index().tensor(), from);
                }));
}

Variable scatter_add(const Variable& source, int64_t dim, const Tensor& index, const Shape& shape) {
  return record(
      "scatter_add", scatter_add(source.tensor(), dim, index, shape),
      wrt(source, [dim, index = save(index)](const Variable& g) { return gather(g, dim, index().tensor()); }));
}

// Rows that occur several times in the index sum their gradients.
Variable embedding(const Variable& weight, const Tensor& index) {
  return record("embedding", embedding(weight.tensor(), index),
                wrt(weight, [index = save(index), from = weight.shape()](const Variable& g) {
                  const Tensor rows = index().tensor();
                  return index_add(reshape(g, {rows.numel(), from[1]}), 0, reshape(rows, {rows.numel()}), from[0]);
                }));
}

// A gradient is chosen, never multiplied by 0 or 1: what the condition hides stays out even if it is NaN.
Variable where(const Tensor& condition, const Variable& a, const Variable& b) {
  const Tensor zero = scalar(0, a.dtype());
  return record("where", where(condition, a.tensor(), b.tensor()),
                wrt(a, [c = save(condition), zero](const Variable& g) { return where(c().tensor(), g, zero); }),
                wrt(b, [c = save(condition), zero](const Variable& g) { return where(c().tensor(), zero, g); }));
}

Variable masked_fill(const Variable& x, const Tensor& mask, double value) {
  return record("masked_fill", masked_fill(x.tensor(), mask, value),
                wrt(x, [mask = save(mask)](const Variable& g) { return masked_fill(g, mask().tensor(), 0); }));
}

}  // namespace sfumato
