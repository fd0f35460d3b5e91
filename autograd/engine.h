// The engine: walks recorded nodes from the outputs back to the leaves.
//
// Reachable nodes are visited in descending order of creation, which is a reverse topological order and the same in
// every run. Everything is iterative: a chain of a million nodes is walked and freed without recursion. A node's rules
// and what they saved are dropped as soon as it has run, unless the graph is to be kept.
#pragma once

#include <span>
#include <vector>

#include "autograd/variable.h"

namespace sfumato {

// Accumulates into every reachable leaf's grad(). `gradients` is empty or has one entry per output.
void run_backward(std::span<const Variable> outputs,
                  std::span<const Variable> gradients,
                  const BackwardOptions& options);

// Returns the gradients for `inputs` (leaves or not) and leaves every grad() alone.
std::vector<Variable> run_grad(std::span<const Variable> outputs,
                               std::span<const Variable> inputs,
                               std::span<const Variable> gradients,
                               const BackwardOptions& options);

}  // namespace sfumato
