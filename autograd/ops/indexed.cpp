#include "autograd/ops/indexed.h"

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
    return scatter_add(reshape(g, kept), d, indices().tensor().reshape(kept), from);
  };
  return {record(name, result.values, wrt(x, rule)), result.indices};
}

}  // namespace sfumato
