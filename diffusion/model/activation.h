// The activations that a U-Net's configuration may name (`act_fn`).
//
//   const Activation act = parse_activation("silu");
//   Variable h = normalized(norm1, x, act);         // act(norm1(x)), in one pass over memory where there is one
#pragma once

#include <string_view>

#include "nn/layers.h"

namespace sfumato {

enum class Activation { silu, mish, gelu, relu };

// "silu" or "swish", "mish", "gelu" or "relu". Throws Error naming them.
Activation parse_activation(std::string_view name);

// silu: x sigmoid(x). mish: x tanh(softplus(x)) (Misra 2019). gelu: x Phi(x). relu: max(x, 0).
Variable activate(Activation activation, const Variable& x);
// activate(activation, norm(x)).
Variable normalized(const GroupNorm& norm, const Variable& x, Activation activation);

}  // namespace sfumato
