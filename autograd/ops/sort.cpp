#include "autograd/ops/sort.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/view.h"

namespace sfumato {

IndexedVariables sort(const Variable& x, int64_t dim, bool descending) {
  return record_indexed("sort", sort(x.tensor(), dim, descending), x, dim);
}
IndexedVariables topk(const Variable& x, int64_t k, int64_t dim, const TopkOptions& options) {
  return record_indexed("topk", topk(x.tensor(), k, dim, options), x, dim);
}
IndexedVariables kthvalue(const Variable& x, int64_t k, int64_t dim, bool keepdim) {
  return record_indexed("kthvalue", kthvalue(x.tensor(), k, dim, keepdim), x, dim);
}
IndexedVariables median(const Variable& x, int64_t dim, bool keepdim) {
  return record_indexed("median", median(x.tensor(), dim, keepdim), x, dim);
}
Variable median(const Variable& x) {
  return x.numel() == 0 ? Variable(median(x.tensor())) : median(reshape(x, {x.numel()}), 0).values;
}

Variable quantile(const Variable& x, double q, int64_t dim, bool keepdim) {
  const int d = normalize_dim("quantile", dim, x.dim());
  check_dtype("quantile", kReals, x.dtype());
  check(q >= 0 && q <= 1, "quantile: q must be 0 to 1, got ", q);
  if (x.dim() == 0) {
    return x;
  }
  const int64_t n = x.size(d);
  check(n > 0, "quantile: dimension ", d, " of shape ", x.shape(), " is empty and has no quantile");
  const Variable sorted = sort(x, d).values;
  const double place = q * static_cast<double>(n - 1);
  const auto low = static_cast<int64_t>(std::floor(place));
  const double rest = place - static_cast<double>(low);
  Variable value = narrow(sorted, d, low, 1);
  // Only where something lies between: inf - inf would be NaN.
  if (rest > 0) {
    value = lerp(value, narrow(sorted, d, low + 1, 1), rest);
  }
  const Variable largest = narrow(sorted, d, n - 1, 1);  // a NaN, if there is one
  value = where(isnan(largest.tensor()), largest, value);
  return keepdim ? value : squeeze(value, d);
}
Variable quantile(const Variable& x, double q) {
  check_dtype("quantile", kReals, x.dtype());
  return quantile(reshape(x, {x.numel()}), q, 0);
}

}  // namespace sfumato
