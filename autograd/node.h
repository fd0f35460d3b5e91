// Node: one recorded op. It knows its inputs' edges and how to turn the gradient of its output into theirs.
//
// Ops do not derive from it; they call record() ("autograd/record.h"), which builds the node around the op's rules.
#pragma once

#include <cstdint>
#include <vector>

#include "autograd/saved_hooks.h"
#include "autograd/variable.h"

namespace sfumato {

// Where a gradient goes: to the node that produced the input, or to a leaf.
struct Edge {
  Ref<Node> node;
  Ref<detail::VariableState> leaf;
  Shape shape;
  bool defined() const { return node != nullptr || leaf != nullptr; }
};

class Node : public RefCounted<Node> {
 public:
  explicit Node(const char* name);
  // Frees graphs of any length without recursion.
  void destroy() noexcept;
  virtual ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  const char* name() const { return name_; }
  // Later nodes have larger numbers, so descending order is a reverse topological order.
  uint64_t order() const { return order_; }
  const Shape& output_shape() const { return output_shape_; }
  DType output_dtype() const { return output_dtype_; }

  virtual int input_count() const = 0;
  // Fills results[i] with the gradient for input i where it is needed.
  virtual void apply(const Variable& gradient, Variable* results) const = 0;
  virtual void collect_edges(Edge** out) = 0;
  virtual void release_rules() = 0;

  // For rules that take the output: a Variable that this node produced, checked against in-place modification.
  Variable output() const;
  void keep_output(const Tensor& out);
  void note_output(const Tensor& out);

  // Drops the rules and what they saved; a second backward pass then throws.
  void release();
  bool released() const { return released_; }

  detail::Hooks<GradientHook>& hooks() { return hooks_; }

 private:
  const char* name_;
  uint64_t order_;
  Shape output_shape_;
  DType output_dtype_ = DType::f32;
  Tensor output_;
  Ref<detail::PackedTensor> packed_output_;  // in place of output_ under SavedTensorHooks
  uint64_t output_version_ = 0;
  bool released_ = false;
  detail::Hooks<GradientHook> hooks_;
  Node* next_deleted_ = nullptr;
};

}  // namespace sfumato
