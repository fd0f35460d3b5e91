#include "autograd/ops/random.h"

#include "autograd/ops/require.h"
#include "autograd/record.h"

namespace sfumato {

Variable dropout(const Variable& x, double p, const RandomStream& stream) {
  require_floats("dropout", {x});
  if (p == 0) {
    return x;
  }
  return record("dropout", dropout_with(x.tensor(), p, stream),
                wrt(x, [p, stream](const Variable& g) { return dropout(g, p, stream); }));
}

}  // namespace sfumato
