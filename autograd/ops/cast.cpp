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

}  // namespace sfumato
