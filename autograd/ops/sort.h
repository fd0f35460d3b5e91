// Sorting of Variables: the ops of "tensor/ops/sort.h" with their gradients, which go to where the values came from.
//
//   auto [values, indices] = topk(logits, 5);
//   Variable threshold = quantile(scores, 0.95, /*dim=*/1, /*keepdim=*/true);
#pragma once

#include "autograd/ops/indexed.h"
#include "autograd/variable.h"
#include "tensor/ops/sort.h"

namespace sfumato {

struct IndexedVariables;  // of "autograd/ops/indexed.h", for when that header itself has asked for this one

IndexedVariables sort(const Variable& x, int64_t dim = -1, bool descending = false);
IndexedVariables topk(const Variable& x, int64_t k, int64_t dim = -1, const TopkOptions& options = {});
IndexedVariables kthvalue(const Variable& x, int64_t k, int64_t dim = -1, bool keepdim = false);
IndexedVariables median(const Variable& x, int64_t dim, bool keepdim = false);
Variable median(const Variable& x);

// The value below which the fraction q of the elements lies, between two elements by a straight line; NaN where there
// is a NaN. f32 and f64. Without `dim` that of all elements, of rank 0.
Variable quantile(const Variable& x, double q, int64_t dim, bool keepdim = false);
Variable quantile(const Variable& x, double q);

}  // namespace sfumato
