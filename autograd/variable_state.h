// What a Variable's handle points to. For the engine and record(); users see "autograd/variable.h", which includes it.
#pragma once

#include <memory>
#include <vector>

#include "autograd/variable.h"

namespace sfumato::detail {

// What few leaves have.
struct LeafExtras {
  Tensor grad_buffer;
  Hooks<GradientHook> hooks;
  Hooks<PostAccumulateHook> post_accumulate_hooks;
};

struct VariableState final : RefCounted<VariableState> {
  explicit VariableState(Tensor&& of);
  ~VariableState();
  void destroy() noexcept;

  Tensor value;
  Ref<Node> producer;  // null for a leaf
  Variable grad;       // leaves only, from here on
  std::unique_ptr<LeafExtras> extras_or_null;
  bool requires_grad = false;

  // Made when first asked for.
  LeafExtras& extras();
};

}  // namespace sfumato::detail
