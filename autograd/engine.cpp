#include "autograd/engine.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory_resource>
#include <utility>
#include <vector>

#include "autograd/node.h"
#include "autograd/record.h"
#include "tensor/ops/optim.h"

namespace sfumato {
namespace {

using detail::LeafExtras;
using detail::VariableState;

// Nobody but `gradient` can see its memory, so adding into it is invisible.
bool owns_its_memory(const Variable& gradient) {
  return gradient.state().use_count() == 1 && gradient.tensor().storage_use_count() == 1 &&
         gradient.tensor().is_contiguous();
}

void accumulate(Variable& total, Variable&& term) {
  if (!total.defined()) {
    total = std::move(term);
  } else if (!grad_enabled() && total.dtype() == DType::f32 && owns_its_memory(total) &&
             term.tensor().is_contiguous()) {
    Tensor memory = total.tensor();
    add_(memory, term.tensor());
  } else {
    total = add(total, term);
  }
}

// A hook may register and remove hooks: those in force when the gradient came are run.
void run_hooks(const detail::Hooks<GradientHook>& hooks, Variable& gradient) {
  if (hooks.empty()) {
    return;
  }
  for (const auto& [id, hook] : detail::Hooks<GradientHook>(hooks)) {
    if (Variable replaced = hook(gradient); replaced.defined()) {
      check(replaced.shape() == gradient.shape(), "hook: the gradient has shape ", gradient.shape(),
            " but the hook returned ", replaced.shape());
      gradient = std::move(replaced);
    }
  }
}

// One backward pass. Everything it notes stands here and nothing in the graph, so that passes may run inside each other
// (a hook calls grad()) and in several threads. Small graphs fit into `buffer_` and cost no allocation.
class GraphTask {
 public:
  GraphTask(std::span<const Variable> outputs,
            std::span<const Variable> gradients,
            std::span<const Variable> inputs,
            const BackwardOptions& options)
      : options_(options), inputs_(inputs) {
    check(gradients.empty() || gradients.size() == outputs.size(), "backward: ", outputs.size(), " outputs but ",
          gradients.size(), " gradients");
    for (const Variable& input : inputs) {
      check(input.requires_grad(), "grad: an input of shape ", input.shape(), " does not require a gradient");
    }
    reserve_for_small_graphs();
    find_nodes(outputs);
    find_leaves();
    for (const Variable& input : inputs) {
      if (Slot* slot = slot_of(input); slot != nullptr) {
        slot->wanted = true;
      }
    }
    decide_what_is_needed();
    GradModeGuard mode(options.create_graph);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (roots_[i].defined()) {
        seed(targets_[i], outputs[i], gradients.empty() ? Variable() : gradients[i]);
      }
    }
  }

  void run() {
    GradModeGuard mode(options_.create_graph);
    for (NodeSlot& slot : nodes_) {
      if (Variable gradient = std::move(slot.gradient); gradient.defined()) {
        run_hooks(slot.node->hooks(), gradient);
        if (slot.wanted) {
          slot.captured = gradient;
        }
        if (slot.needed) {
          run_node(slot, gradient);
          continue;
        }
      }
      if (slot.needed) {
        skip_node(slot);
      }
    }
  }

  std::vector<Variable> captured() {
    std::vector<Variable> results;
    for (const Variable& input : inputs_) {
      const Slot* slot = slot_of(input);
      results.push_back(slot != nullptr ? slot->captured : Variable());
    }
    return results;
  }

 private:
  struct Slot {
    Variable gradient;  // what has arrived so far
    Variable captured;  // what grad() was asked for
    bool wanted = false;
  };
  struct NodeSlot : Slot {
    Node* node = nullptr;
    size_t first_target = 0;
    bool needed = true;  // some wanted input lies behind this node
  };
  struct LeafSlot : Slot {
    VariableState* leaf = nullptr;
    int64_t pending = 0;  // edges that have not delivered yet
  };
  // An edge with the index of the slot that it leads to: of a node's or a leaf's.
  struct Target {
    Edge* edge;
    size_t slot;
  };
  // An edge to a node that has not been visited yet.
  struct Visit {
    uint64_t order;
    Node* node;
    size_t target;
    bool operator<(const Visit& other) const { return order < other.order; }
  };
  struct LeafVisit {
    VariableState* leaf;
    size_t target;
    bool operator<(const LeafVisit& other) const {
      return std::pair(leaf, target) < std::pair(other.leaf, other.target);
    }
  };

  // Growing step by step would spend the buffer on the steps.
  void reserve_for_small_graphs() {
    constexpr size_t kNodes = 12, kEdges = 24;
    nodes_.reserve(kNodes);
    leaves_.reserve(kNodes);
    targets_.reserve(kEdges);
    to_visit_.reserve(kEdges);
    leaf_visits_.reserve(kEdges);
  }

  bool captures() const { return !inputs_.empty(); }
  Slot& slot_at(const Target& target) {
    return target.edge->node ? static_cast<Slot&>(nodes_[target.slot]) : leaves_[target.slot];
  }
  // Null when the outputs do not depend on it.
  Slot* slot_of(const Variable& variable) {
    const auto& state = variable.state();
    if (Node* node = state->producer.get(); node != nullptr) {
      const auto found =
          std::lower_bound(nodes_.begin(), nodes_.end(), node->order(),
                           [](const NodeSlot& slot, uint64_t order) { return slot.node->order() > order; });
      return found != nodes_.end() && found->node == node ? &*found : nullptr;
    }
    const auto found = std::lower_bound(leaves_.begin(), leaves_.end(), state.get(),
                                        [](const LeafSlot& slot, VariableState* leaf) { return slot.leaf < leaf; });
    return found != leaves_.end() && found->leaf == state.get() ? &*found : nullptr;
  }
  std::span<Target> targets_of(const NodeSlot& slot) {
    return {targets_.data() + slot.first_target, static_cast<size_t>(slot.node->input_count())};
  }

  void add_target(Edge* edge) {
    targets_.push_back({edge, 0});
    if (edge->node) {
      to_visit_.push_back({edge->node->order(), edge->node.get(), targets_.size() - 1});
      std::push_heap(to_visit_.begin(), to_visit_.end());
    } else if (edge->leaf) {
      leaf_visits_.push_back({edge->leaf.get(), targets_.size() - 1});
    }
  }

  // Reachable nodes, newest first: the newest of a heap cannot be reached from any of the others, and one that several
  // edges lead to leaves the heap several times in a row.
  void find_nodes(std::span<const Variable> outputs) {
    for (const Variable& output : outputs) {
      check(output.defined(), "backward: an output is undefined");
      roots_.push_back(output.requires_grad() ? detail::edge_to(output) : Edge{});
    }
    for (Edge& root : roots_) {
      add_target(&root);
    }
    std::pmr::vector<Edge*> edges(&memory_);
    while (!to_visit_.empty()) {
      std::pop_heap(to_visit_.begin(), to_visit_.end());
      const Visit visit = to_visit_.back();
      to_visit_.pop_back();
      if (nodes_.empty() || nodes_.back().node != visit.node) {
        NodeSlot& slot = nodes_.emplace_back();
        slot.node = visit.node;
        slot.first_target = targets_.size();
        edges.resize(static_cast<size_t>(visit.node->input_count()));
        visit.node->collect_edges(edges.data());
        for (Edge* edge : edges) {
          add_target(edge);
        }
      }
      targets_[visit.target].slot = nodes_.size() - 1;
    }
  }

  // Groups the edges that lead to leaves by leaf.
  void find_leaves() {
    std::sort(leaf_visits_.begin(), leaf_visits_.end());
    for (const LeafVisit& visit : leaf_visits_) {
      if (leaves_.empty() || leaves_.back().leaf != visit.leaf) {
        leaves_.emplace_back().leaf = visit.leaf;
      }
      targets_[visit.target].slot = leaves_.size() - 1;
    }
  }

  // Oldest first, so that a node's inputs are decided before it.
  void decide_what_is_needed() {
    for (auto slot = nodes_.rbegin(); slot != nodes_.rend(); ++slot) {
      slot->needed = false;
      for (const Target& target : targets_of(*slot)) {
        slot->needed |= wants(target) || (target.edge->node && nodes_[target.slot].needed);
      }
      if (slot->needed) {
        check(!slot->node->released(), "backward: the graph of '", slot->node->name(),
              "' has been freed by an earlier backward pass (retain_graph keeps it)");
        expect(targets_of(*slot));
      }
    }
    expect({targets_.data(), roots_.size()});
  }
  void expect(std::span<const Target> targets) {
    for (const Target& target : targets) {
      if (target.edge->leaf && wants(target)) {
        ++leaves_[target.slot].pending;
      }
    }
  }
  bool wants(const Target& target) {
    return target.edge->defined() && (captures() ? slot_at(target).wanted : static_cast<bool>(target.edge->leaf));
  }

  void seed(const Target& root, const Variable& output, Variable gradient) {
    if (!gradient.defined()) {
      check(output.numel() == 1, "backward: an output of shape ", output.shape(),
            " needs a gradient of that shape (only a single element may go without)");
      gradient = Variable(ones_like(output.tensor()));
    }
    check(gradient.shape() == output.shape() && gradient.dtype() == output.dtype(), "backward: the output is ",
          output.dtype(), " ", output.shape(), " but its gradient ", gradient.dtype(), " ", gradient.shape());
    send(root, std::move(gradient));
  }

  // Adds a gradient, which may be undefined, to what has arrived at the end of an edge.
  void send(const Target& target, Variable&& gradient) {
    if (target.edge->leaf) {
      if (wants(target)) {
        deliver(leaves_[target.slot], target.edge->leaf, std::move(gradient));
      }
      return;
    }
    NodeSlot& slot = nodes_[target.slot];
    if (gradient.defined() && (slot.needed || slot.wanted)) {
      accumulate(slot.gradient, std::move(gradient));
    }
  }

  void run_node(const NodeSlot& slot, const Variable& gradient) {
    const auto targets = targets_of(slot);
    results_.resize(targets.size());
    slot.node->apply(gradient, results_.data());
    for (size_t i = 0; i < targets.size(); ++i) {
      const Edge& edge = *targets[i].edge;
      if (!edge.defined()) {
        continue;
      }
      Variable& result = results_[i];
      if (detail::anomaly_mode) [[unlikely]] {
        detail::check_backward(*slot.node, i, result.tensor());
      }
      if (result.defined() && !(result.shape() == edge.shape)) {
        result = sum_to(result, edge.shape);
      }
      send(targets[i], std::move(result));
    }
    results_.clear();
    if (!options_.retain_graph && !options_.create_graph) {
      slot.node->release();
    }
  }

  // No gradient reached this node, but the leaves behind it must not wait for it.
  void skip_node(const NodeSlot& slot) {
    for (const Target& target : targets_of(slot)) {
      if (target.edge->leaf) {
        send(target, Variable());
      }
    }
  }

  void deliver(LeafSlot& slot, const Ref<VariableState>& state, Variable&& gradient) {
    if (gradient.defined()) {
      accumulate(slot.gradient, std::move(gradient));
    }
    if (--slot.pending > 0 || !slot.gradient.defined()) {
      return;
    }
    const std::unique_ptr<LeafExtras>& extras = state->extras_or_null;
    if (extras != nullptr) {
      run_hooks(extras->hooks, slot.gradient);
    }
    if (captures()) {
      slot.captured = std::move(slot.gradient);
      return;
    }
    finish_leaf(*state, std::move(slot.gradient));
    if (extras != nullptr) {
      for (const auto& [id, hook] : detail::Hooks<PostAccumulateHook>(extras->post_accumulate_hooks)) {
        Variable handle = Variable::from_state(state);
        hook(handle);
      }
    }
  }

  void finish_leaf(VariableState& leaf, Variable&& gradient) const {
    if (leaf.extras_or_null != nullptr && leaf.extras_or_null->grad_buffer.defined()) {
      Tensor& buffer = leaf.extras_or_null->grad_buffer;
      if (leaf.grad.defined()) {
        buffer.copy_from(add(buffer, gradient.tensor()));
      } else {
        buffer.copy_from(gradient.tensor());
        leaf.grad = Variable(buffer);
      }
    } else if (leaf.grad.defined()) {
      accumulate(leaf.grad, std::move(gradient));
    } else {
      const bool ours_alone = gradient.state().use_count() == 1 && !gradient.requires_grad();
      leaf.grad = options_.create_graph || ours_alone ? std::move(gradient) : gradient.detach();
    }
  }

  const BackwardOptions options_;
  std::span<const Variable> inputs_;
  std::array<std::byte, 4096> buffer_;
  std::pmr::monotonic_buffer_resource memory_{buffer_.data(), buffer_.size()};
  std::pmr::vector<Edge> roots_{&memory_};      // to the outputs; they keep the graph, since nodes keep their edges
  std::pmr::vector<Target> targets_{&memory_};  // of the roots, then of each node in turn
  std::pmr::vector<NodeSlot> nodes_{&memory_};  // newest first
  std::pmr::vector<LeafSlot> leaves_{&memory_};
  std::pmr::vector<Visit> to_visit_{&memory_};
  std::pmr::vector<LeafVisit> leaf_visits_{&memory_};
  std::pmr::vector<Variable> results_{&memory_};
};

}  // namespace

void run_backward(std::span<const Variable> outputs,
                  std::span<const Variable> gradients,
                  const BackwardOptions& options) {
  GraphTask(outputs, gradients, {}, options).run();
}

std::vector<Variable> run_grad(std::span<const Variable> outputs,
                               std::span<const Variable> inputs,
                               std::span<const Variable> gradients,
                               const BackwardOptions& options) {
  check(!inputs.empty(), "grad: no inputs");
  GraphTask task(outputs, gradients, inputs, options);
  task.run();
  return task.captured();
}

}  // namespace sfumato
