// For ops that return values along a dimension with their indices: max, sort, topk, cummax and their like.
//
//   IndexedVariables sort(const Variable& x, int64_t dim, bool descending) {
//     return record_indexed("sort", sort(x.tensor(), dim, descending), x, dim);
//   }
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

// Values on the tape, and where they come from.
struct IndexedVariables {
  Variable values;
  Tensor indices;  // i64
};

// Records values that x has at `indices` along `dim`, kept in the result or not: each value's gradient goes there.
IndexedVariables record_indexed(const char* name, const IndexedResult& result, const Variable& x, int64_t dim);

}  // namespace sfumato
