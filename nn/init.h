// First values for a network's parameters, the same for a given seed however the network was put together.
//
//   UNet net(config);
//   initialize(net, /*seed=*/42);
//
// Each parameter draws from a random stream of its own, keyed by (seed, "init", the parameter's path), by the rule that
// its layer gave it. The layers' rules are PyTorch's: U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for the weights and biases of
// Linear and Conv2d (kaiming_uniform with a = sqrt(5)), ones and zeros for norms, N(0, 1) for Embedding. A layer made
// with Init::zeros starts at zero, as Ho et al. start the last convolution of every residual block, the attention's
// output and conv_out.
#pragma once

#include <cstdint>

#include "nn/module.h"

namespace sfumato {

// What a layer's constructor takes: PyTorch's default, or zeros for weight and bias.
enum class Init { default_, zeros };

// Draws every parameter below `root` in f32 (into memory of its own, or the memory that it has) and assigns paths. For
// a sub-module that knows its path already the values are those that it would get from the root.
void initialize(Module& root, uint64_t seed);

// The values that `rule` gives a parameter of this path under `seed`: f32.
Tensor initial_values(const InitRule& rule, const Shape& shape, uint64_t seed, std::string_view path);

}  // namespace sfumato
