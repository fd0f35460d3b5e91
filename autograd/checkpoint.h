// checkpoint(): memory for time. What f computes on the way to its result is not kept for the backward pass, but
// computed again there (Chen et al. 2016, "Training deep nets with sublinear memory cost").
//
//   Variable h = checkpoint([&](std::span<const Variable> in) { return block(in[0], in[1]); }, {x, emb});
//
// * The second run is the first one over again: under the same random scope (so dropout draws the same masks),
//   autocast state and backend. Gradients have the same bits as without a checkpoint.
// * Leaves that f captures (its parameters) get their gradients too. A recorded variable that is not among the inputs
//   does not: f must be given it, and a run that meets one throws.
// * f is called twice and must compute the same both times: nothing that it reads may be written in between, and the
//   backward pass throws when an input or a captured leaf has been modified.
// * One derivative only: a backward pass with create_graph throws by name.
#pragma once

#include <functional>
#include <initializer_list>
#include <span>

#include "autograd/variable.h"

namespace sfumato {

using CheckpointedFunction = std::function<Variable(std::span<const Variable> inputs)>;

// f(inputs). Throws what f throws, and Error when f returns an undefined variable or uses a recorded variable that it
// was not given.
Variable checkpoint(const CheckpointedFunction& f, std::span<const Variable> inputs);
Variable checkpoint(const CheckpointedFunction& f, std::initializer_list<Variable> inputs);

}  // namespace sfumato
