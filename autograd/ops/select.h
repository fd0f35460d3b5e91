// Selection and replacement on Variables, by masks, indices and bounds.
//
//   Variable chosen = masked_select(x, gt(x.tensor(), 0.0));      // a vector of the positive elements
//   Variable y = scatter(x, 1, index, source);                    // x with source's elements put where index says
//
// Which elements are taken is a constant of the backward pass.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/select.h"

namespace sfumato {

// x with source[i][j] at [index[i][j]][j] for dim 0, and so on; index and source have one shape. Where an index occurs
// twice the later one stays, and both get its gradient: use different ones.
Variable scatter(const Variable& x, int64_t dim, const Tensor& index, const Variable& source);
Variable scatter(const Variable& x, int64_t dim, const Tensor& index, double value);
// gather() with x and index broadcast against each other in all other dimensions.
Variable take_along_dim(const Variable& x, const Tensor& index, int64_t dim);
// x with `value` in the slices `index` of dimension `dim`.
Variable index_fill(const Variable& x, int64_t dim, const Tensor& index, double value);
// The elements where mask (bool, broadcast with x) is true, as a vector in row-major order.
Variable masked_select(const Variable& x, const Tensor& mask);
// x within [min, max], tensors that broadcast; at a bound the gradient is shared with it.
Variable clamp(const Variable& x, const Variable& min, const Variable& max);
// NaN, infinity and minus infinity replaced; without a number, an infinity becomes the dtype's largest one.
Variable nan_to_num(const Variable& x, double nan = 0);
Variable nan_to_num(const Variable& x, double nan, double posinf, double neginf);

}  // namespace sfumato
