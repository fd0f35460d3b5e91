// What a Variable's handle points to. For the engine and record(); users see "autograd/variable.h".
#pragma once

#include <memory>
#include <vector>

#include "autograd/variable.h"

namespace sfumato::detail {

struct VariableState {
  Tensor value;
  bool requires_grad = false;
  std::shared_ptr<Node> producer;  // null for a leaf
  Variable grad;                   // leaves only, from here on
  Tensor grad_buffer;
  std::vector<GradientHook> hooks;
  std::vector<PostAccumulateHook> post_accumulate_hooks;
};

}  // namespace sfumato::detail
