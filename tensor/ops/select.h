// Selection by value: where a mask is true, how often a number occurs, which values there are. The shapes of most
// results depend on the values, not on the shapes of the inputs alone.
//
//   Tensor rows = nonzero(gt(x, 0.0));       // (how many, rank): the indices of the positive elements
//   UniqueResult u = unique(labels);         // u.values ascending, u.inverse, u.counts
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// The indices (i64, one row each) of the elements that are not 0, in row-major order; every dtype.
Tensor nonzero(const Tensor& x);
// How often each of 0..max(x) occurs (i64), at least minlength counts. x (N), i64, i32 or u8, none negative.
Tensor bincount(const Tensor& x, int64_t minlength = 0);

struct UniqueResult {
  Tensor values;   // ascending; NaNs are each their own, at the end
  Tensor inverse;  // i64, x's shape: where each element stands in `values`
  Tensor counts;   // i64, how often each occurs
};
// Every dtype.
UniqueResult unique(const Tensor& x);

// Whether a and b have one shape and, element by element, one value (NaN equals nothing).
bool equal(const Tensor& a, const Tensor& b);
// |a - b| <= atol + rtol * |b|, elementwise with broadcasting: bool. Equal infinities are close. Floats.
Tensor isclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8);

}  // namespace sfumato
