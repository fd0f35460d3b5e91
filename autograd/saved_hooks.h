// SavedTensorHooks: decides how tensors are kept between the forward and the backward pass.
//
//   SavedTensorHooks half([](const Tensor& x) { return x.to(DType::bf16); },     // pack: what is kept
//                         [](const Tensor& kept) { return kept.to(DType::f32); });  // unpack: what a rule sees
//   Variable loss = net(x).sum();           // activations take half the memory
//   loss.backward();                        // the guard may be gone by then
//
// While it lives on this thread, what ops save() and the outputs that nodes keep are packed at once and unpacked when a
// rule reads them; the unpacked tensor must have the packed one's shape and dtype. The innermost guard acts alone.
// Uses: compression, moving activations to a file, counting them. After PyTorch's saved_tensors_hooks.
//
// Leaves that require a gradient are not packed: whoever owns the parameter keeps it anyway. pack may also be called
// for a tensor whose rule is dropped right afterwards. A packed tensor is not checked for modification in place, since
// pack has its values. It stays unpacked from the first reading until its node is released.
#pragma once

#include <functional>

#include "tensor/ref.h"
#include "tensor/tensor.h"

namespace sfumato {

using TensorHook = std::function<Tensor(const Tensor&)>;
// Also told how many tensors were packed under the same guard before this one.
using NumberedTensorHook = std::function<Tensor(const Tensor&, size_t number)>;

namespace detail {

struct SavedHookPair final : RefCounted<SavedHookPair> {
  NumberedTensorHook pack, unpack;
  size_t packed = 0;
  void destroy() noexcept { delete this; }
};
inline thread_local constinit SavedHookPair* saved_hooks = nullptr;

// A tensor in the form that pack gave it.
class PackedTensor final : public RefCounted<PackedTensor> {
 public:
  // With the hooks in force, of which there are some.
  explicit PackedTensor(const Tensor& tensor);
  Tensor unpack() const;
  void destroy() noexcept { delete this; }

 private:
  Ref<SavedHookPair> hooks_;
  size_t number_;
  Tensor packed_;
  Shape shape_;
  DType dtype_;
};

}  // namespace detail

class SavedTensorHooks {
 public:
  SavedTensorHooks(TensorHook pack, TensorHook unpack);
  SavedTensorHooks(NumberedTensorHook pack, NumberedTensorHook unpack);
  ~SavedTensorHooks() { detail::saved_hooks = previous_; }
  SavedTensorHooks(const SavedTensorHooks&) = delete;
  SavedTensorHooks& operator=(const SavedTensorHooks&) = delete;

 private:
  Ref<detail::SavedHookPair> hooks_;
  detail::SavedHookPair* previous_;
};

}  // namespace sfumato
