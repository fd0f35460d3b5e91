// Agreement with a reference, relative to the reference's largest entry.
//
//   std::string problem = difference("grad/x", ours, wanted, 1e-9, 1e-12);      // empty when they agree
#pragma once

#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace sfumato::golden {

// Empty when shapes are equal and every entry agrees within rtol times the largest finite magnitude in `wanted`, else what
// differs. An infinity must be the same infinity and NaN meet NaN. Where nothing in `wanted` exceeds `noise` it is
// rounding error around an exact zero (as the gradient of a key's bias in softmax attention), and so may ours be: up to
// `noise` too.
std::string difference(std::string_view what, const Tensor& ours, const Tensor& wanted, double rtol, double noise);

// The largest finite magnitude.
double largest_entry(const Tensor& x);

}  // namespace sfumato::golden
