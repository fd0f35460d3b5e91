// Autocast: matrix products and convolutions in bf16, everything that needs range or precision in f32, without a word
// in the model (Micikevicius et al. 2018, "Mixed precision training"; the lists are PyTorch's).
//
//   const AutocastGuard autocast;                 // bf16
//   Variable loss = mse_loss(net(x), target);     // conv2d and linear in bf16, norms and the loss in f32
//   loss.backward();                              // gradients of f32 parameters are f32
//
//   in bf16: matmul, linear, conv2d, conv_transpose2d, and what is made of them (attention, einsum, bmm, ...)
//   in f32:  group_norm, layer_norm, rms_norm, softmax, log_softmax, logsumexp, mse_loss, cross_entropy
//   all others in what they are given; mixed inputs promote
//
// A parameter that several ops read is cast once per guard, not once per use: the cast is kept with the outermost
// guard, and made again when the parameter has been modified or replaced, or a backward pass has freed the cast.
#pragma once

#include "autograd/variable.h"

namespace sfumato {

struct AutocastState {
  bool enabled = false;
  DType dtype = DType::bf16;
};

namespace detail {
inline thread_local constinit AutocastState autocast_state;
Variable cast_low(const Variable& x);

// While it lives, parameters that were cast before are cast anew: for graphs that must hold their own casts.
class CastScope {
 public:
  CastScope();
  ~CastScope();
  CastScope(const CastScope&) = delete;
  CastScope& operator=(const CastScope&) = delete;

 private:
  uint64_t previous_;
};
}  // namespace detail

inline AutocastState current_autocast() { return detail::autocast_state; }

// Switches autocast on or off for this thread while it lives. Throws unless the dtype is bf16.
class AutocastGuard {
 public:
  explicit AutocastGuard(DType dtype = DType::bf16, bool enabled = true)
      : AutocastGuard(AutocastState{.enabled = enabled, .dtype = dtype}) {}
  explicit AutocastGuard(const AutocastState& state);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  AutocastState previous_;
};

// For ops ------------------------------------------------------------------------------------------------------------
//
//   Variable matmul(const Variable& a, const Variable& b) {
//     if (runs_low(a, b)) {
//       return matmul(autocast_low(a), autocast_low(b));
//     }

// Whether an op of the first list must cast: autocast is on and an input is f32.
template <class... Inputs>
bool runs_low(const Inputs&... inputs) {
  return detail::autocast_state.enabled && ((inputs.defined() && inputs.dtype() == DType::f32) || ...);
}
// Whether an op of the second list must cast: autocast is on and an input is bf16.
template <class... Inputs>
bool runs_in_f32(const Inputs&... inputs) {
  return detail::autocast_state.enabled && ((inputs.defined() && inputs.dtype() == DType::bf16) || ...);
}

// f32 becomes bf16, and bf16 becomes f32; undefined variables and all other dtypes stay.
inline Variable autocast_low(const Variable& x) {
  return x.defined() && x.dtype() == DType::f32 ? detail::cast_low(x) : x;
}
Variable autocast_f32(const Variable& x);

}  // namespace sfumato
