#include "autograd/ops/statistics.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {
namespace {

// What the rules here share: the reduced dimensions, and reduced tensors brought back beside x.
struct Reduced {
  Dims dim;
  Shape kept;
  double count;

  Reduced(const char* op, const Variable& x, const Dims& dim) : dim(dim) {
    const uint32_t mask = dim_mask(op, dim, x.dim());
    kept = reduced_shape(x.shape(), mask, true);
    count = static_cast<double>(reduced_count(x.shape(), mask));
  }
  double degrees(int64_t correction) const { return std::max(count - static_cast<double>(correction), 0.0); }
};

// g / y, and 0 where y is 0: there y is replaced first, so that no derivative divides by it either.
Variable divided(const Variable& g, const Variable& y) {
  const Tensor zero = eq(y.tensor(), 0.0);
  return masked_fill(div(g, masked_fill(y, zero, 1)), zero, 0);
}

}  // namespace

Variable var(const Variable& x, const Dims& dim, int64_t correction, bool keepdim) {
  if (x.dtype() == DType::bf16) {
    return to(var(widened(x), dim, correction, keepdim), DType::bf16);
  }
  const Reduced over("var", x, dim);
  return record("var", var(x.tensor(), dim, correction, keepdim),
                wrt(x, [x = save(x), over, scale = 2 / over.degrees(correction)](const Variable& g) {
                  return mul(sub(x(), mean(x(), over.dim, true)), mul(reshape(g, over.kept), scale));
                }));
}

Variable std(const Variable& x, const Dims& dim, int64_t correction, bool keepdim) {
  check_dtype("std", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return to(std(widened(x), dim, correction, keepdim), DType::bf16);
  }
  const Reduced over("std", x, dim);
  return record("std", sqrt(var(x.tensor(), dim, correction, keepdim)),
                wrt(x, [x = save(x), over, scale = 1 / over.degrees(correction)](const Variable& g, const Variable& y) {
                  return mul(sub(x(), mean(x(), over.dim, true)), mul(reshape(divided(g, y), over.kept), scale));
                }));
}

namespace {

Variable euclidean_norm(const Variable& x, const Reduced& over, bool keepdim) {
  return record("norm", sqrt(sum(square(x.tensor()), over.dim, keepdim)),
                wrt(x, [x = save(x), over](const Variable& g, const Variable& y) {
                  return mul(x(), reshape(divided(g, y), over.kept));
                }));
}

// dy/dx = sign(x) |x / y|^(p-1).
Variable general_norm(const Variable& x, double p, const Reduced& over, bool keepdim) {
  return record("norm", pow(sum(pow(abs(x.tensor()), p), over.dim, keepdim), 1 / p),
                wrt(x, [x = save(x), p, over](const Variable& g, const Variable& y) {
                  const Variable share = abs(divided(x(), reshape(y, over.kept)));
                  const Variable slope = mul(Variable(sign(x().tensor())), pow(share, p - 1));
                  return mul(masked_fill(slope, eq(x().tensor(), 0.0), 0), reshape(g, over.kept));
                }));
}

}  // namespace

Variable norm(const Variable& x, double p, const Dims& dim, bool keepdim) {
  check_dtype("norm", kFloats, x.dtype());
  check(!std::isnan(p), "norm: p must be a number, got ", p);
  if (x.dtype() == DType::bf16) {
    return to(norm(widened(x), p, dim, keepdim), DType::bf16);
  }
  const Reduced over("norm", x, dim);
  if (std::isinf(p)) {
    check(over.count > 0, "norm: ", x.shape(), " is empty along ", dim, " and has no largest element");
    return p > 0 ? amax(abs(x), dim, keepdim) : amin(abs(x), dim, keepdim);
  }
  if (p == 0) {
    return Variable(count_nonzero(x.tensor(), dim, keepdim).to(x.dtype()));
  }
  if (p == 1) {
    return sum(abs(x), dim, keepdim);
  }
  return p == 2 ? euclidean_norm(x, over, keepdim) : general_norm(x, p, over, keepdim);
}

}  // namespace sfumato
