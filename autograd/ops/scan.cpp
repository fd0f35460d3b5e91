#include "autograd/ops/scan.h"

#include <limits>

#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/join.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {

Variable shifted(const Variable& x, int64_t dim, bool reverse, double fill) {
  const int64_t size = x.size(dim);
  if (size == 0) {
    return x;
  }
  Shape one = x.shape();
  one[normalize_dim("shifted", dim, x.dim())] = 1;
  const Variable edge(full(one, fill, x.dtype()));
  const Variable rest = narrow(x, dim, reverse ? 1 : 0, size - 1);
  return reverse ? cat({rest, edge}, dim) : cat({edge, rest}, dim);
}

Variable cumsum(const Variable& x, int64_t dim, bool reverse) {
  return record("cumsum", cumsum(x.tensor(), dim, reverse),
                wrt(x, [dim, reverse](const Variable& g) { return cumsum(g, dim, !reverse); }));
}

// dy[k] / dx[i] is the product of x[0..k] without x[i], so dx[i] = y[i-1] s[i], where s gathers what comes after:
// s[i] = g[i] + x[i+1] s[i+1].
Variable cumprod(const Variable& x, int64_t dim, bool reverse) {
  const int d = normalize_dim("cumprod", dim, x.dim());
  if (x.dtype() == DType::bf16) {
    return to(cumprod(widened(x), dim, reverse), DType::bf16);
  }
  if (x.dim() == 0) {
    return reshape(cumprod(reshape(x, {1}), 0), {});
  }
  return record("cumprod", cumprod(x.tensor(), d, reverse),
                wrt(x, [x = save(x), d, reverse](const Variable& g, const Variable& y) {
                  const Variable after = linear_scan(shifted(x(), d, !reverse, 0), g, d, !reverse);
                  return mul(shifted(y, d, reverse, 1), after);
                }));
}

// dy[k] / dx[i] = exp(x[i] - y[k]), so dx[i] = exp(x[i] - y[i]) s[i] with s[i] = g[i] + exp(y[i] - y[i+1]) s[i+1]: no
// exponent is positive. Where all so far is exp(-inf) = 0, differences of infinities are replaced.
Variable logcumsumexp(const Variable& x, int64_t dim) {
  const int d = normalize_dim("logcumsumexp", dim, x.dim());
  if (x.dtype() == DType::bf16) {
    return to(logcumsumexp(widened(x), dim), DType::bf16);
  }
  if (x.dim() == 0) {
    return reshape(logcumsumexp(reshape(x, {1}), 0), {});
  }
  return record("logcumsumexp", logcumsumexp(x.tensor(), d),
                wrt(x, [x = save(x), d](const Variable& g, const Variable& y) {
                  constexpr double nothing = -std::numeric_limits<double>::infinity();
                  const auto decay = [](const Variable& from, const Variable& to) {
                    return exp(masked_fill(from - to, eq(from.tensor(), nothing), nothing));
                  };
                  const int64_t steps = std::max<int64_t>(y.size(d) - 1, 0);
                  const int64_t second = std::min<int64_t>(y.size(d), 1);
                  const Variable inner = decay(narrow(y, d, 0, steps), narrow(y, d, second, steps));
                  Shape last = y.shape();
                  last[d] -= steps;
                  const Variable factors = cat({inner, Variable(zeros(last, y.dtype()))}, d);
                  return mul(decay(x(), y), linear_scan(factors, g, d, true));
                }));
}

IndexedVariables cummax(const Variable& x, int64_t dim) {
  return record_indexed("cummax", cummax(x.tensor(), dim), x, dim);
}
IndexedVariables cummin(const Variable& x, int64_t dim) {
  return record_indexed("cummin", cummin(x.tensor(), dim), x, dim);
}

// With s[t] = g[t] + a[t+1] s[t+1], the gradient of h[t] from everywhere: db[t] = s[t] and da[t] = s[t] h[t-1].
Variable linear_scan(const Variable& a, const Variable& b, int64_t dim, bool reverse) {
  if (a.dtype() == DType::bf16 && b.dtype() == DType::bf16) {
    return to(linear_scan(widened(a), widened(b), dim, reverse), DType::bf16);
  }
  const Tensor out = linear_scan(a.tensor(), b.tensor(), dim, reverse);
  if (b.dim() == 0) {
    return record("linear_scan", out, wrt(b, [](const Variable& g) { return g; }));
  }
  const auto gathered = [a = save(a), dim, reverse](const Variable& g) {
    return linear_scan(shifted(a(), dim, !reverse, 0), g, dim, !reverse);
  };
  return record(
      "linear_scan", out,
      wrt(a, [gathered, dim, reverse](const Variable& g,
                                      const Variable& h) { return mul(gathered(g), shifted(h, dim, reverse, 0)); }),
      wrt(b, gathered));
}

}  // namespace sfumato
