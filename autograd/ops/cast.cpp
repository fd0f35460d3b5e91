#include "autograd/ops/cast.h"

#include "autograd/record.h"

namespace sfumato {

Variable to(const Variable& x, DType dtype) {
  if (x.dtype() == dtype) {
    return x;
  }
  const Tensor out = x.tensor().to(dtype);
  if (!is_floating(dtype)) {
    return Variable(out);
  }
  return record("to", out, wrt(x, [from = x.dtype()](const Variable& g) { return to(g, from); }));
}

Variable widened(const Variable& x) { return x.defined() ? to(x, DType::f32) : x; }

}  // namespace sfumato
