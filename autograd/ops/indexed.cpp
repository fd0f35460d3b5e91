#include "autograd/ops/indexed.h"

#include "autograd/ops/cast.h"
#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {

IndexedVariables record_indexed(const char* name, const IndexedResult& result, const Variable& x, int64_t dim) {
  const int d = normalize_dim(name, dim, x.dim());
  const auto rule = [d, indices = save(result.indices), from = x.shape()](const Variable& g) {
    if (from.rank() == 0) {
      return g;
    }
    Shape kept = from;
    kept[d] = g.dim() == from.rank() ? g.size(d) : 1;
    const Tensor places = indices().tensor().reshape(kept);
    // Several values may come from one place: their sum is rounded to bf16 once.
    const Variable wide = g.dtype() == DType::bf16 ? widened(g) : g;
    return to(scatter_add(reshape(wide, kept), d, places, from), g.dtype());
  };
  return {record(name, result.values, wrt(x, rule)), result.indices};
}

}  // namespace sfumato
