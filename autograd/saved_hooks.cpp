#include "autograd/saved_hooks.h"

#include "autograd/record.h"

namespace sfumato {

SavedTensorHooks::SavedTensorHooks(TensorHook pack, TensorHook unpack)
    : hooks_(Ref<detail::SavedHookPair>::adopt(new detail::SavedHookPair)), previous_(detail::saved_hooks) {
  check(pack != nullptr && unpack != nullptr, "SavedTensorHooks: pack and unpack must both be given");
  hooks_->pack = std::move(pack);
  hooks_->unpack = std::move(unpack);
  detail::saved_hooks = hooks_.get();
}

namespace detail {

PackedTensor::PackedTensor(const Tensor& tensor)
    : hooks_(saved_hooks), packed_(hooks_->pack(tensor)), shape_(tensor.shape()), dtype_(tensor.dtype()) {}

Tensor PackedTensor::unpack() const {
  Tensor tensor = hooks_->unpack(packed_);
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
