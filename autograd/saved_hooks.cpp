#include "autograd/saved_hooks.h"

#include "autograd/record.h"

namespace sfumato {
namespace {

NumberedTensorHook without_number(TensorHook hook) {
  if (hook == nullptr) {
    return nullptr;
  }
  return [hook = std::move(hook)](const Tensor& tensor, size_t) { return hook(tensor); };
}

}  // namespace

SavedTensorHooks::SavedTensorHooks(TensorHook pack, TensorHook unpack)
    : SavedTensorHooks(without_number(std::move(pack)), without_number(std::move(unpack))) {}

SavedTensorHooks::SavedTensorHooks(NumberedTensorHook pack, NumberedTensorHook unpack)
    : hooks_(Ref<detail::SavedHookPair>::adopt(new detail::SavedHookPair)), previous_(detail::saved_hooks) {
  check(pack != nullptr && unpack != nullptr, "SavedTensorHooks: pack and unpack must both be given");
  hooks_->pack = std::move(pack);
  hooks_->unpack = std::move(unpack);
  detail::saved_hooks = hooks_.get();
}

namespace detail {

PackedTensor::PackedTensor(const Tensor& tensor)
    : hooks_(saved_hooks),
      number_(hooks_->packed++),
      packed_(hooks_->pack(tensor, number_)),
      shape_(tensor.shape()),
      dtype_(tensor.dtype()) {}

Tensor PackedTensor::unpack() const {
  Tensor tensor = hooks_->unpack(packed_, number_);
  check(tensor.defined() && tensor.shape() == shape_ && tensor.dtype() == dtype_, "SavedTensorHooks: ", dtype_, " ",
        shape_, " was packed, but unpack returned ", tensor.dtype(), " ", tensor.shape());
  return tensor;
}

}  // namespace detail

void Saved::pack() {
  if (!variable_.defined() || !grad_enabled() || (variable_.is_leaf() && variable_.requires_grad())) {
    return;
  }
  packed_ = Ref<detail::PackedTensor>::adopt(new detail::PackedTensor(variable_.tensor()));
  producer_ = variable_.state()->producer;
  variable_ = Variable();
}

const Variable& Saved::unpacked() const {
  if (!variable_.defined()) {
    variable_ = producer_ ? Variable(packed_->unpack(), producer_) : Variable(packed_->unpack());
  }
  return variable_;
}

}  // namespace sfumato
