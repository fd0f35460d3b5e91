// Variable: a tensor on the tape. Ops on Variables are recorded, and backward() walks the record in reverse.
//
//   Variable x(full({3}, 2.0), /*requires_grad=*/true);
//   Variable y = sum(mul(x, x));
//   y.backward();
//   x.grad().tensor();                      // (4, 4, 4): dy/dx = 2x
//
// A Tensor converts to a Variable that needs no gradient, so the two mix in calls; the way back is `.tensor()`.
// Ops are free functions with PyTorch's names, declared in autograd/ops/ and included below.
#pragma once

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "autograd/grad_mode.h"
#include "tensor/ref.h"
#include "tensor/tensor.h"

namespace sfumato {

class Node;
class Variable;
using GradientHook = std::function<Variable(const Variable& gradient)>;
using PostAccumulateHook = std::function<void(Variable& leaf)>;

struct BackwardOptions {
  bool create_graph = false;  // record the backward pass itself, for higher derivatives
  bool retain_graph = false;  // keep what the graph has saved, so that it can be walked again
};

namespace detail {
struct VariableState;
// In the order in which they were registered, by number.
template <class Hook>
using Hooks = std::vector<std::pair<uint64_t, Hook>>;
}  // namespace detail

// Takes a hook off again. It may outlive the variable, and may be dropped: the hook then stays.
class HookHandle {
 public:
  HookHandle() = default;
  explicit HookHandle(std::function<void()> remove) : remove_(std::move(remove)) {}
  void remove() {
    if (remove_) {
      std::exchange(remove_, nullptr)();
    }
  }

 private:
  std::function<void()> remove_;
};

class Variable {
 public:
  // Undefined: no tensor.
  Variable() = default;
  // A leaf. Gradients exist for f32, f64 and bf16; others throw when requires_grad is asked for.
  Variable(Tensor value, bool requires_grad = false);  // NOLINT(google-explicit-constructor): a constant

  bool defined() const { return static_cast<bool>(state_); }
  const Tensor& tensor() const;
  const Shape& shape() const { return tensor().shape(); }
  DType dtype() const { return tensor().dtype(); }
  int dim() const { return tensor().dim(); }
  int64_t numel() const { return tensor().numel(); }
  int64_t size(int64_t d) const { return tensor().size(d); }
  double item() const { return tensor().item(); }

  bool requires_grad() const;
  bool is_leaf() const;
  // The accumulated gradient of a leaf; undefined before the first backward pass and after zero_grad().
  const Variable& grad() const;
  void set_grad(const Variable& gradient);
  void zero_grad();
  // Replaces a leaf's tensor (same dtype), for loading weights and for flat buffers. Throws on a non-leaf.
  void set_tensor(const Tensor& value);
  // Gradients of a leaf will be accumulated into this memory (its shape), beginning with an overwrite.
  void set_grad_buffer(const Tensor& buffer);

  // The same tensor, off the tape.
  Variable detach() const;

  // Accumulates d(this)/d(leaf) into every leaf. `gradient` has this shape; it may be left out for a single element.
  void backward(const Variable& gradient = {}, const BackwardOptions& options = {}) const;

  // Called with the whole gradient that reaches this variable; a defined result replaces it. Several are called in the
  // order of registration. A hook may run backward passes of its own.
  HookHandle register_hook(GradientHook hook);
  // Called after a leaf's grad() has been updated, once per backward pass.
  HookHandle register_post_accumulate_hook(PostAccumulateHook hook);

  // For record() and the engine.
  static Variable from_state(Ref<detail::VariableState> state);
  Variable(Tensor value, Ref<Node> producer);
  const Ref<detail::VariableState>& state() const { return state_; }

 private:
  Ref<detail::VariableState> state_;
};

}  // namespace sfumato

#include "autograd/variable_state.h"

namespace sfumato {

namespace detail {
inline const Tensor no_tensor;  // what an undefined Variable holds
}

inline const Tensor& Variable::tensor() const { return state_ ? state_->value : detail::no_tensor; }
inline bool Variable::requires_grad() const { return state_ && state_->requires_grad; }
inline bool Variable::is_leaf() const { return !state_ || state_->producer == nullptr; }

// The gradients of sum(outputs * grad_outputs) for each input, without touching any leaf's grad(). grad_outputs may be
// empty when every output has one element. An input that the outputs do not depend on gets an undefined Variable.
std::vector<Variable> grad(std::span<const Variable> outputs,
                           std::span<const Variable> inputs,
                           std::span<const Variable> grad_outputs = {},
                           const BackwardOptions& options = {});
std::vector<Variable> grad(const Variable& output,
                           std::span<const Variable> inputs,
                           const Variable& grad_output = {},
                           const BackwardOptions& options = {});

}  // namespace sfumato

#include "autograd/ops/ops.h"
