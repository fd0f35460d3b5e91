#include "nn/optim/flat_parameters.h"

#include <map>

namespace sfumato {

FlatParameters::FlatParameters(Module& module) {
  for (const auto& [name, variable] : module.named_parameters()) {
    check(variable.dtype() == DType::f32, "FlatParameters: parameters must be f32, but '", name, "' is ",
          variable.dtype());
    slots_.push_back({name, variable.shape(), size_});
    parameters_.push_back(variable);
    num_parameters_ += variable.numel();
    size_ += (variable.numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  values_ = zeros();
  for (size_t i = 0; i < slots_.size(); ++i) {
    view(values_, slots_[i]).copy_from(parameters_[i].tensor());
  }
  point_back();
}

Tensor FlatParameters::view(const Tensor& flat, const Slot& slot) const {
  return flat.as_strided(slot.shape, contiguous_strides(slot.shape), flat.storage_offset() + slot.offset);
}

void FlatParameters::check_layout(const Tensor& flat, std::string_view op) const {
  check(flat.defined() && flat.dtype() == DType::f32 && flat.is_contiguous() && flat.shape() == Shape{size_}, op,
        ": the buffer must be contiguous f32 of shape ", Shape{size_}, ", got ", flat.dtype(), " ", flat.shape());
}

NamedTensors FlatParameters::views(const Tensor& flat) const {
  check_layout(flat, "FlatParameters::views");
  NamedTensors named;
  for (const Slot& slot : slots_) {
    named.emplace_back(slot.name, view(flat, slot));
  }
  return named;
}

void FlatParameters::copy_into(Tensor& flat,
                               std::span<const std::pair<std::string, Tensor>> tensors,
                               std::string_view source) const {
  check_layout(flat, "FlatParameters::copy_into");
  std::map<std::string_view, const Slot*> missing;
  for (const Slot& slot : slots_) {
    missing.emplace(slot.name, &slot);
  }
  std::string complaints;
  std::vector<std::pair<const Slot*, const Tensor*>> matches;
  for (const auto& [name, tensor] : tensors) {
    const auto found = missing.find(name);
    if (found == missing.end()) {
      complaints += "\n  unexpected: " + name;
    } else if (tensor.shape() != found->second->shape || !is_floating(tensor.dtype())) {
      complaints += "\n  wrong: " + name + " is " + to_string(tensor.dtype()) + " " + to_string(tensor.shape()) +
                    ", must be f32 " + to_string(found->second->shape);
      missing.erase(found);
    } else {
      matches.emplace_back(found->second, &tensor);
      missing.erase(found);
    }
  }
  for (const auto& entry : missing) {
    complaints += "\n  missing: " + std::string(entry.first);
  }
  check(complaints.empty(), source, ": the tensors do not fit the parameters", complaints);
  for (const auto& [slot, tensor] : matches) {
    view(flat, *slot).copy_from(*tensor);
  }
}

void FlatParameters::begin_gradients(const Tensor& buffer) {
  check_layout(buffer, "FlatParameters::begin_gradients");
  gradients_ = buffer;
  for (size_t i = 0; i < slots_.size(); ++i) {
    parameters_[i].zero_grad();
    parameters_[i].set_grad_buffer(view(buffer, slots_[i]));
  }
}

void FlatParameters::zero_grad() {
  if (!own_gradients_.defined()) {
    own_gradients_ = zeros();
  }
  begin_gradients(own_gradients_);
}

const Tensor& FlatParameters::gradients() {
  check(gradients_.defined(), "FlatParameters::gradients: call zero_grad() before the backward pass");
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Variable& gradient = parameters_[i].grad();
    if (!gradient.defined()) {
      view(gradients_, slots_[i]).fill(0);
    } else if (!gradient.tensor().shares_storage_with(gradients_)) {
      view(gradients_, slots_[i]).copy_from(gradient.tensor());  // someone has called set_grad()
    }
  }
  return gradients_;
}

std::vector<HookHandle> FlatParameters::on_gradient(const std::function<void(size_t slot)>& ready) {
  std::vector<HookHandle> handles;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    handles.push_back(parameters_[i].register_post_accumulate_hook([ready, i](Variable& /*leaf*/) { ready(i); }));
  }
  return handles;
}

void FlatParameters::point_at(const Tensor& flat) {
  check_layout(flat, "FlatParameters::point_at");
  for (size_t i = 0; i < slots_.size(); ++i) {
    parameters_[i].set_tensor(view(flat, slots_[i]));
  }
}

}  // namespace sfumato
