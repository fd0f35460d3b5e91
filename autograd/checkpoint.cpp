#include "autograd/checkpoint.h"

#include <algorithm>
#include <vector>

#include "autograd/autocast.h"
#include "autograd/engine.h"
#include "autograd/record.h"
#include "tensor/backend/backend.h"
#include "tensor/random.h"

namespace sfumato {
namespace {

using detail::VariableState;

// What a run of f depends on besides its arguments, all of it per thread.
struct Surroundings {
  RandomState random = RandomScope::current();
  AutocastState autocast = current_autocast();
  Backend backend = sfumato::backend();
};

// Leaves of their own with the inputs' tensors: f's graph ends there.
std::vector<Variable> stand_ins(std::span<const Variable> inputs) {
  std::vector<Variable> leaves;
  leaves.reserve(inputs.size());
  for (const Variable& input : inputs) {
    leaves.emplace_back(input.tensor(), input.requires_grad());
  }
  return leaves;
}

Variable run(const CheckpointedFunction& f, std::span<const Variable> inputs, const Surroundings& surroundings) {
  const RandomScope random(surroundings.random);
  const AutocastGuard autocast(surroundings.autocast);
  const detail::CastScope casts;  // a cast made outside would be a recorded variable that f was not given
  const BackendScope backend(surroundings.backend);
  const GradModeGuard record(true);
  Variable out = f(inputs);
  check(out.defined(), "checkpoint: the function returned an undefined variable");
  return out;
}

// The leaves behind `out` that are none of `known`. Nodes as old as `begin` were recorded outside.
std::vector<Variable> captured_leaves(const Variable& out, std::span<const Variable> known, uint64_t begin) {
  std::vector<Variable> captured;
  std::vector<Edge> stack{detail::edge_to(out)};
  std::vector<const Node*> seen;
  std::vector<Edge*> edges;
  const auto is_among = [](std::span<const Variable> list, const Ref<VariableState>& leaf) {
    return std::any_of(list.begin(), list.end(), [&](const Variable& v) { return v.state() == leaf; });
  };
  while (!stack.empty()) {
    const Edge edge = std::move(stack.back());
    stack.pop_back();
    if (edge.leaf && edge.leaf->requires_grad && !is_among(known, edge.leaf) && !is_among(captured, edge.leaf)) {
      captured.push_back(Variable::from_state(edge.leaf));
    }
    if (!edge.node) {
      continue;
    }
    check(edge.node->order() >= begin, "checkpoint: the function uses the result of '", edge.node->name(),
          "' of shape ", edge.node->output_shape(), ", which was recorded outside: give it among the inputs");
    const auto place = std::lower_bound(seen.begin(), seen.end(), edge.node.get());
    if (place != seen.end() && *place == edge.node.get()) {
      continue;
    }
    seen.insert(place, edge.node.get());
    edges.resize(static_cast<size_t>(edge.node->input_count()));
    edge.node->collect_edges(edges.data());
    for (const Edge* next : edges) {
      if (next->defined()) {
        stack.push_back(*next);
      }
    }
  }
  return captured;
}

// The node that stands for all of f: an edge for each input and captured leaf, and a rule that runs f again.
class CheckpointNode final : public Node {
 public:
  CheckpointNode(const CheckpointedFunction& f, std::span<const Variable> inputs, std::span<const Variable> captured)
      : Node("checkpoint"), f_(f), input_count_(inputs.size()) {
    for (const auto& list : {inputs, captured}) {
      for (const Variable& variable : list) {
        saved_.push_back(save(variable));
        edges_.push_back(variable.requires_grad() ? detail::edge_to(variable) : Edge{});
      }
    }
  }

  int input_count() const override { return static_cast<int>(edges_.size()); }
  void collect_edges(Edge** out) override {
    for (Edge& edge : edges_) {
      *out++ = &edge;
    }
  }
  void release_rules() override {
    saved_.clear();
    f_ = nullptr;
  }

  void apply(const Variable& gradient, Variable* results) const override {
    check(!grad_enabled(), "checkpoint: the backward pass of a checkpoint cannot be differentiated (create_graph)");
    std::vector<Variable> saved;
    for (const Saved& one : saved_) {
      saved.push_back(one());
    }
    const std::vector<Variable> inputs = stand_ins(std::span(saved).first(input_count_));
    const Variable out = run(f_, inputs, surroundings_);
    // What gradients are asked for, and where they belong.
    std::vector<Variable> wanted;
    std::vector<size_t> places;
    for (size_t i = 0; i < edges_.size(); ++i) {
      if (edges_[i].defined()) {
        wanted.push_back(i < input_count_ ? inputs[i] : saved[i]);
        places.push_back(i);
      }
    }
    // The hooks of captured leaves wait for the whole gradient, which the outer pass puts together.
    const std::vector<Variable> gradients =
        run_grad(std::span(&out, 1), wanted, std::span(&gradient, 1), {}, /*leaf_hooks=*/false);
    for (size_t i = 0; i < gradients.size(); ++i) {
      results[places[i]] = gradients[i];
    }
  }

 private:
  CheckpointedFunction f_;
  size_t input_count_;
  Surroundings surroundings_;
  std::vector<Saved> saved_;  // the inputs, then the captured leaves
  std::vector<Edge> edges_;
};

}  // namespace

Variable checkpoint(const CheckpointedFunction& f, std::span<const Variable> inputs) {
  if (!grad_enabled()) {
    return f(inputs);
  }
  // Recorded once to see which leaves f uses, without what rules save, for no rule of this record ever runs.
  const uint64_t begin = next_node_order();
  const std::vector<Variable> leaves = stand_ins(inputs);
  Variable out;
  {
    const SavedTensorHooks keep_nothing([](const Tensor&) { return Tensor(); },
                                        [](const Tensor& none) { return none; });
    out = run(f, leaves, {});
  }
  if (!out.requires_grad()) {
    return out;
  }
  const std::vector<Variable> captured = captured_leaves(out, leaves, begin);
  auto node = Ref<CheckpointNode>::adopt(new CheckpointNode(f, inputs, captured));
  node->note_output(out.tensor());
  return Variable(out.tensor(), std::move(node));
}

Variable checkpoint(const CheckpointedFunction& f, std::initializer_list<Variable> inputs) {
  return checkpoint(f, std::span<const Variable>(inputs.begin(), inputs.size()));
}

}  // namespace sfumato
