// Scans of Variables: the ops of "tensor/ops/scan.h" with their gradients, each again a scan, so linear in the length.
//
//   Variable survival = cumprod(1.0 - hazard, -1);
//
// Gradients are right where elements are 0 (cumprod) and where exponentials would overflow (logcumsumexp).
#pragma once

#include "autograd/ops/indexed.h"
#include "autograd/variable.h"
#include "tensor/ops/scan.h"

namespace sfumato {

struct IndexedVariables;  // of "autograd/ops/indexed.h", for when that header itself has asked for this one

Variable cumsum(const Variable& x, int64_t dim, bool reverse = false);
Variable cumprod(const Variable& x, int64_t dim, bool reverse = false);
Variable logcumsumexp(const Variable& x, int64_t dim);
IndexedVariables cummax(const Variable& x, int64_t dim);
IndexedVariables cummin(const Variable& x, int64_t dim);
Variable linear_scan(const Variable& a, const Variable& b, int64_t dim, bool reverse = false);

// x moved one step on along `dim` (back, with reverse): the first (last) entry becomes `fill`, the last (first) is
// lost.
Variable shifted(const Variable& x, int64_t dim, bool reverse, double fill);

}  // namespace sfumato
