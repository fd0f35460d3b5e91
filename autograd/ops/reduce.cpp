#include "autograd/ops/reduce.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {
namespace {

// Spreads a reduced gradient over the shape it came from.
Variable spread(const Variable& g, const Shape& shape, uint32_t mask) {
  return expand(reshape(g, reduced_shape(shape, mask, true)), shape);
}

double reduced_count(const Shape& shape, uint32_t mask) {
  double count = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    count *= (mask >> d & 1u) != 0 ? static_cast<double>(shape[d]) : 1;
  }
  return count;
}

Variable extremum(const char* name, const Tensor& out, const Variable& x, const Dims& dim) {
  const uint32_t mask = dim_mask(name, dim, x.dim());
  return record(name, out, wrt(x, [x = save(x), mask](const Variable& g, const Variable& y) {
                  // The winners share the gradient; which they are is a constant.
                  const Shape& shape = x().shape();
                  const Tensor best = y.tensor().reshape(reduced_shape(shape, mask, true));
                  const Tensor winners = eq(x().tensor(), best).to(g.dtype());
                  const Tensor share = div(winners, sum_to(winners, best.shape()));
                  return mul(spread(g, shape, mask), Variable(share));
                }));
}

}  // namespace

Variable sum(const Variable& x) { return sum(x, {}, false); }
Variable sum(const Variable& x, const Dims& dim, bool keepdim) {
  const uint32_t mask = dim_mask("sum", dim, x.dim());
  return record("sum", sum(x.tensor(), dim, keepdim),
                wrt(x, [shape = x.shape(), mask](const Variable& g) { return spread(g, shape, mask); }));
}

Variable mean(const Variable& x) { return mean(x, {}, false); }
Variable mean(const Variable& x, const Dims& dim, bool keepdim) {
  const uint32_t mask = dim_mask("mean", dim, x.dim());
  return record("mean", mean(x.tensor(), dim, keepdim), wrt(x, [shape = x.shape(), mask](const Variable& g) {
                  return spread(mul(g, 1 / reduced_count(shape, mask)), shape, mask);
                }));
}

Variable amax(const Variable& x, const Dims& dim, bool keepdim) {
  return extremum("amax", amax(x.tensor(), dim, keepdim), x, dim);
}
Variable amin(const Variable& x, const Dims& dim, bool keepdim) {
  return extremum("amin", amin(x.tensor(), dim, keepdim), x, dim);
}

Variable sum_to(const Variable& x, const Shape& shape) {
  return record("sum_to", sum_to(x.tensor(), shape),
                wrt(x, [from = x.shape()](const Variable& g) { return expand(g, from); }));
}

}  // namespace sfumato
