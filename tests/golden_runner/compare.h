// Agreement with a reference, relative to the reference's largest entry.
//
//   std::string problem = difference("grad/x", ours, wanted, {.rtol = 1e-9});      // empty when they agree
#pragma once

#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace sfumato::golden {

// How closely a tensor must agree: within rtol times its largest finite magnitude. Where nothing in the reference
// exceeds `vanishes`, it is rounding error around an exact zero (as the gradient of a key's bias in softmax attention
// is), and ours may be rounding error too: up to `floor`.
struct Bound {
  double rtol = 0;
  double vanishes = 0;
  double floor = 0;
};

// Empty when shapes are equal and every entry agrees, else what differs. An infinity must be the same infinity and NaN
// meet NaN.
std::string difference(std::string_view what, const Tensor& ours, const Tensor& wanted, const Bound& bound);

// The largest finite magnitude.
double largest_entry(const Tensor& x);

}  // namespace sfumato::golden
