#include "autograd/ops/reduce.h"

#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/scan.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {
namespace {

// Spreads a reduced gradient over the shape it came from.
Variable spread(const Variable& g, const Shape& shape, uint32_t mask) {
  return expand(reshape(g, reduced_shape(shape, mask, true)), shape);
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

Variable prod(const Variable& x) {
  check_dtype("prod", kAllDTypes, x.dtype());
  return reshape(prod(reshape(x, {x.numel()}), 0), {});
}
// The product of the others is that of those before times that of those behind.
Variable prod(const Variable& x, int64_t dim, bool keepdim) {
  const int d = normalize_dim("prod", dim, x.dim());
  if (x.dtype() == DType::bf16) {
    return to(prod(widened(x), dim, keepdim), DType::bf16);
  }
  if (x.dim() == 0) {
    return prod(reshape(x, {1}), 0);
  }
  return record("prod", prod(x.tensor(), d, keepdim), wrt(x, [x = save(x), d](const Variable& g) {
                  const Variable before = shifted(cumprod(x(), d), d, false, 1);
                  const Variable behind = shifted(cumprod(x(), d, true), d, true, 1);
                  return mul(spread(g, x().shape(), 1u << d), mul(before, behind));
                }));
}

Variable mean(const Variable& x) { return mean(x, {}, false); }
Variable mean(const Variable& x, const Dims& dim, bool keepdim) {
  const uint32_t mask = dim_mask("mean", dim, x.dim());
  return record("mean", mean(x.tensor(), dim, keepdim), wrt(x, [shape = x.shape(), mask](const Variable& g) {
                  return spread(mul(g, 1 / static_cast<double>(reduced_count(shape, mask))), shape, mask);
                }));
}

Variable amax(const Variable& x, const Dims& dim, bool keepdim) {
  return extremum("amax", amax(x.tensor(), dim, keepdim), x, dim);
}
Variable amin(const Variable& x, const Dims& dim, bool keepdim) {
  return extremum("amin", amin(x.tensor(), dim, keepdim), x, dim);
}

IndexedVariables max(const Variable& x, int64_t dim, bool keepdim) {
  return record_indexed("max", max(x.tensor(), dim, keepdim), x, dim);
}
IndexedVariables min(const Variable& x, int64_t dim, bool keepdim) {
  return record_indexed("min", min(x.tensor(), dim, keepdim), x, dim);
}

Variable nansum(const Variable& x, const Dims& dim, bool keepdim) {
  check_dtype("nansum", kFloats, x.dtype());
  dim_mask("nansum", dim, x.dim());
  return sum(masked_fill(x, isnan(x.tensor()), 0), dim, keepdim);
}

Variable sum_to(const Variable& x, const Shape& shape) {
  return record("sum_to", sum_to(x.tensor(), shape),
                wrt(x, [from = x.shape()](const Variable& g) { return expand(g, from); }));
}

}  // namespace sfumato
