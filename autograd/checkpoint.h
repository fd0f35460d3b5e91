// checkpoint(): memory for time. What f computes on the way to its result is not kept for the backward pass, but
// computed again there (Chen et al. 2016, "Training deep nets with sublinear memory cost").
//
//   Variable h = checkpoint([&](std::span<const Variable> in) { return block(in[0], in[1]); }, {x, emb});
//
// * The tape is the one that f records without a checkpoint; only what its rules save is left out. So gradients have
//   the same bits as without, hooks and captured variables work as ever, and f may use whatever it likes.
// * The first rule that reads something saved runs f again: under the same random scope (so dropout draws the same
//   masks), autocast state and backend. Each saved tensor then lives until its rule has run.
// * f is called twice and must compute the same both times: nothing that it reads may be written in between. The
//   backward pass throws when an input or a captured leaf has been modified, or when the second run saves another
//   number of tensors or other shapes than the first.
// * One derivative only: a backward pass with create_graph throws by name.
#pragma once

#include <functional>
#include <initializer_list>
#include <span>

#include "autograd/variable.h"

namespace sfumato {

using CheckpointedFunction = std::function<Variable(std::span<const Variable> inputs)>;

// f(inputs). Throws what f throws, and Error when f returns an undefined variable.
Variable checkpoint(const CheckpointedFunction& f, std::span<const Variable> inputs);
Variable checkpoint(const CheckpointedFunction& f, std::initializer_list<Variable> inputs);

}  // namespace sfumato
