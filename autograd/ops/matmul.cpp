#include "autograd/ops/matmul.h"

#include "autograd/autocast.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {
namespace {

Variable swapped(const Variable& x) { return transpose(x, -2, -1); }

// (..., n) as (rows, n).
Variable as_rows(const Variable& x) {
  Shape lead = x.shape();
  lead.erase(lead.rank() - 1);
  return reshape(x, {lead.numel(), x.size(-1)});
}

bool reaches(const Variable& a, const Variable& b) { return a.size(-1) == b.size(-2); }

}  // namespace

Variable matmul(const Variable& a, const Variable& b) {
  if (runs_low(a, b)) {
    return matmul(autocast_low(a), autocast_low(b));
  }
  // Vectors are matrices of one row or column; the rules below then need to know matrices only.
  if (a.dim() == 1 && b.dim() >= 2) {
    return squeeze(matmul(unsqueeze(a, 0), b), -2);
  }
  if (b.dim() == 1 && a.dim() >= 1) {
    return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  }
  // One matrix for a whole batch: as a single product, or its gradient would be made per batch entry and then summed.
  if (b.dim() == 2 && a.dim() > 2 && reaches(a, b)) {
    Shape shape = a.shape();
    shape[shape.rank() - 1] = b.size(1);
    return reshape(matmul(as_rows(a), b), shape);
  }
  return record("matmul", matmul(a.tensor(), b.tensor()),
                wrt(a, [b = save(b)](const Variable& g) { return matmul(g, swapped(b())); }),
                wrt(b, [a = save(a)](const Variable& g) { return matmul(swapped(a()), g); }));
}

Variable linear(const Variable& x, const Variable& weight, const Variable& bias) {
  if (runs_low(x, weight, bias)) {
    return linear(autocast_low(x), autocast_low(weight), autocast_low(bias));
  }
  const Tensor out = linear(x.tensor(), weight.tensor(), bias.defined() ? bias.tensor() : Tensor());
  return record("linear", out, wrt(x, [w = save(weight)](const Variable& g) { return matmul(g, w()); }),
                wrt(weight, [x = save(x)](const Variable& g) { return matmul(swapped(as_rows(g)), as_rows(x())); }),
                wrt(bias, [](const Variable& g) { return g; }));
}

}  // namespace sfumato
