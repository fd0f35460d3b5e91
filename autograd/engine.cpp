#include "autograd/engine.h"

#include <algorithm>
#include <unordered_map>

#include "autograd/node.h"
#include "autograd/variable_state.h"
#include "tensor/ops/optim.h"

namespace sfumato {
namespace {

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

void run_hooks(const std::vector<GradientHook>& hooks, Variable& gradient) {
  for (const GradientHook& hook : hooks) {
    if (Variable replaced = hook(gradient); replaced.defined()) {
      check(replaced.shape() == gradient.shape(), "hook: the gradient has shape ", gradient.shape(),
            " but the hook returned ", replaced.shape());
      gradient = std::move(replaced);
    }
  }
}

// One backward pass.
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
      captured_[identity(input)] = Variable();
    }
    discover(outputs);
    GradModeGuard mode(options.create_graph);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].requires_grad()) {
        seed(outputs[i], gradients.empty() ? Variable() : gradients[i]);
      }
    }
  }

  void run() {
    GradModeGuard mode(options_.create_graph);
    for (const auto& node : nodes_) {
      Slot& slot = slots_.at(node.get());
      if (Variable gradient = std::move(slot.gradient); gradient.defined()) {
        run_hooks(node->hooks(), gradient);
        if (auto wanted = captured_.find(node.get()); wanted != captured_.end()) {
          wanted->second = gradient;
        }
        if (slot.needed) {
          run_node(*node, gradient);
          continue;
        }
      }
      if (slot.needed) {
        skip_node(*node);
      }
    }
  }

  std::vector<Variable> captured() const {
    std::vector<Variable> results;
    for (const Variable& input : inputs_) {
      results.push_back(captured_.at(identity(input)));
    }
    return results;
  }

 private:
  struct Slot {
    Variable gradient;
    bool needed = true;  // some wanted input lies behind this node
  };
  struct LeafSlot {
    Variable gradient;
    int64_t pending = 0;  // edges that have not delivered yet
  };

  static const void* identity(const Variable& variable) {
    const auto& state = variable.state();
    return state->producer != nullptr ? static_cast<const void*>(state->producer.get()) : state.get();
  }
  bool captures() const { return !inputs_.empty(); }

  std::span<Edge*> edges_of(Node& node) {
    edges_.resize(static_cast<size_t>(node.input_count()));
    node.collect_edges(edges_.data());
    return edges_;
  }

  // Collects reachable nodes, newest first, and which of them matter.
  void discover(std::span<const Variable> outputs) {
    std::vector<std::shared_ptr<Node>> stack;
    const auto visit = [&](const std::shared_ptr<Node>& node) {
      if (node != nullptr && slots_.try_emplace(node.get()).second) {
        stack.push_back(node);
      }
    };
    for (const Variable& output : outputs) {
      check(output.defined(), "backward: an output is undefined");
      visit(output.state()->producer);
    }
    while (!stack.empty()) {
      nodes_.push_back(std::move(stack.back()));
      stack.pop_back();
      for (const Edge* edge : edges_of(*nodes_.back())) {
        visit(edge->node);
      }
    }
    std::sort(nodes_.begin(), nodes_.end(), [](const auto& a, const auto& b) { return a->order() > b->order(); });
    // Oldest first, so that a node's inputs are decided before it.
    for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
      bool needed = false;
      for (const Edge* edge : edges_of(**it)) {
        needed |= leads_to_wanted(*edge);
      }
      slots_.at(it->get()).needed = needed;
      if (needed) {
        check(!(*it)->released(), "backward: the graph of '", (*it)->name(),
              "' has been freed by an earlier backward pass (retain_graph keeps it)");
        for (const Edge* edge : edges_of(**it)) {
          if (edge->leaf != nullptr && wants(*edge)) {
            ++leaves_[edge->leaf.get()].pending;
          }
        }
      }
    }
  }

  bool leads_to_wanted(const Edge& edge) const {
    return wants(edge) || (edge.node != nullptr && slots_.at(edge.node.get()).needed);
  }
  bool wants(const Edge& edge) const {
    if (!edge.defined()) {
      return false;
    }
    if (!captures()) {
      return edge.leaf != nullptr;
    }
    const void* key = edge.node != nullptr ? static_cast<const void*>(edge.node.get()) : edge.leaf.get();
    return captured_.count(key) != 0;
  }

  void seed(const Variable& output, Variable gradient) {
    if (!gradient.defined()) {
      check(output.numel() == 1, "backward: an output of shape ", output.shape(),
            " needs a gradient of that shape (only a single element may go without)");
      gradient = Variable(ones_like(output.tensor()));
    }
    check(gradient.shape() == output.shape() && gradient.dtype() == output.dtype(), "backward: the output is ",
          output.dtype(), " ", output.shape(), " but its gradient ", gradient.dtype(), " ", gradient.shape());
    if (output.is_leaf()) {
      VariableState* leaf = output.state().get();
      if (!captures() || captured_.count(leaf) != 0) {
        ++leaves_[leaf].pending;
        deliver(*leaf, output.state(), std::move(gradient));
      }
    } else {
      accumulate(slots_.at(output.state()->producer.get()).gradient, std::move(gradient));
    }
  }

  void run_node(Node& node, const Variable& gradient) {
    const size_t count = static_cast<size_t>(node.input_count());
    std::vector<Variable> results(count);
    node.apply(gradient, results.data());
    const auto edges = edges_of(node);
    for (size_t i = 0; i < count; ++i) {
      Edge& edge = *edges[i];
      if (!edge.defined()) {
        continue;
      }
      Variable& result = results[i];
      if (result.defined() && !(result.shape() == edge.shape)) {
        result = sum_to(result, edge.shape);
      }
      if (edge.leaf != nullptr) {
        if (wants(edge)) {
          deliver(*edge.leaf, edge.leaf, std::move(result));
        }
      } else if (result.defined() && (slots_.at(edge.node.get()).needed || wants(edge))) {
        accumulate(slots_.at(edge.node.get()).gradient, std::move(result));
      }
    }
    if (!options_.retain_graph && !options_.create_graph) {
      node.release();
    }
  }

  // No gradient reached this node, but the leaves behind it must not wait for it.
  void skip_node(Node& node) {
    for (const Edge* edge : edges_of(node)) {
      if (edge->leaf != nullptr && wants(*edge)) {
        deliver(*edge->leaf, edge->leaf, Variable());
      }
    }
  }

  void deliver(VariableState& leaf, const std::shared_ptr<VariableState>& state, Variable&& gradient) {
    LeafSlot& slot = leaves_.at(&leaf);
    if (gradient.defined()) {
      accumulate(slot.gradient, std::move(gradient));
    }
    if (--slot.pending > 0 || !slot.gradient.defined()) {
      return;
    }
    run_hooks(leaf.hooks, slot.gradient);
    if (captures()) {
      captured_.at(&leaf) = std::move(slot.gradient);
      return;
    }
    finish_leaf(leaf, std::move(slot.gradient));
    for (const PostAccumulateHook& hook : leaf.post_accumulate_hooks) {
      Variable handle = Variable::from_state(state);
      hook(handle);
    }
  }

  void finish_leaf(VariableState& leaf, Variable&& gradient) const {
    if (leaf.grad_buffer.defined()) {
      if (leaf.grad.defined()) {
        leaf.grad_buffer.copy_from(add(leaf.grad_buffer, gradient.tensor()));
      } else {
        leaf.grad_buffer.copy_from(gradient.tensor());
        leaf.grad = Variable(leaf.grad_buffer);
      }
    } else if (!options_.create_graph && !leaf.grad.defined()) {
      leaf.grad = gradient.detach();
    } else {
      leaf.grad.defined() ? accumulate(leaf.grad, std::move(gradient)) : void(leaf.grad = std::move(gradient));
    }
  }

  const BackwardOptions options_;
  std::span<const Variable> inputs_;
  std::vector<std::shared_ptr<Node>> nodes_;  // newest first
  std::unordered_map<const Node*, Slot> slots_;
  std::unordered_map<const VariableState*, LeafSlot> leaves_;
  std::unordered_map<const void*, Variable> captured_;
  std::vector<Edge*> edges_;
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
