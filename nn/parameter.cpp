#include "nn/parameter.h"

namespace sfumato {

void Parameter::assign(Tensor values) {
  check(present_, "parameter: this one is absent and cannot be assigned");
  check(values.shape() == shape_, "parameter: has shape ", shape_, ", got values of shape ", values.shape());
  check(is_floating(values.dtype()), "parameter: values must be floating, got ", values.dtype());
  if (has_values()) {
    Tensor own = variable_.tensor();
    own.copy_from(values);
  } else {
    const bool ours = values.storage_use_count() == 1 && values.is_contiguous() && values.storage_offset() == 0;
    if (values.dtype() == DType::bf16) {
      values = values.to(DType::f32);
    } else if (!ours) {
      values = values.clone();
    }
    variable_ = Variable(std::move(values), true);
  }
}

void Parameter::convert(DType dtype) {
  check(is_floating(dtype), "parameter: cannot be ", dtype);
  if (has_values() && variable_.dtype() != dtype) {
    variable_ = Variable(variable_.tensor().to(dtype), true);
  }
}

const Variable& Parameter::variable() const {
  check(has_values() || !present_, "parameter of shape ", shape_,
        ": has no values yet; call initialize(module, seed) or load_state_dict() first");
  return variable_;
}

}  // namespace sfumato
