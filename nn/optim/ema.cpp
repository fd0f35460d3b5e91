#include "nn/optim/ema.h"

#include <algorithm>
#include <map>
#include <optional>

#include "tensor/ops/optim.h"

namespace sfumato {

Ema::Ema(FlatParameters& parameters, const EmaOptions& options)
    : parameters_(parameters), options_(options), values_(parameters.values().clone()) {
  check(options.decay >= 0 && options.decay <= 1, "Ema: decay must be in [0, 1], got ", options.decay);
}

double Ema::decay_at(int64_t update) const {
  const double k = static_cast<double>(update);
  return options_.warmup ? std::min(options_.decay, (1.0 + k) / (10.0 + k)) : options_.decay;
}

void Ema::update() {
  lerp_(values_, parameters_.values(), 1.0 - decay_at(update_count_));
  ++update_count_;
}

NamedTensors Ema::as_state_dict(const Module& module) const {
  std::map<std::string, Tensor> averages;
  for (auto& [name, tensor] : parameters_.views(values_)) {
    averages.emplace(name, tensor);
  }
  NamedTensors all = module.state_dict();
  size_t replaced = 0;
  for (auto& [name, tensor] : all) {
    const auto found = averages.find(name);
    if (found != averages.end()) {
      tensor = found->second;
      ++replaced;
    }
  }
  check(replaced == averages.size(), "Ema: the module has ", replaced, " of the ", averages.size(),
        " parameters that are averaged; pass the module that the flat parameters were made of");
  return all;
}

NamedTensors Ema::state() const {
  NamedTensors all;
  Tensor count = zeros({}, DType::i64);
  *count.mutable_data<int64_t>() = update_count_;
  all.emplace_back("step", count);
  for (auto& [name, tensor] : parameters_.views(values_)) {
    all.emplace_back("ema." + name, tensor);
  }
  return all;
}

void Ema::load_state(std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source) {
  std::optional<int64_t> count;
  NamedTensors averages;
  for (const auto& [name, tensor] : tensors) {
    if (name == "step" && tensor.dtype() == DType::i64 && tensor.numel() == 1) {
      count = *tensor.data<int64_t>();
    } else {
      check(name.starts_with("ema."), source, ": the average has no state called ", name);
      averages.emplace_back(name.substr(4), tensor);
    }
  }
  check(count.has_value() && *count >= 0, source, ": the average's state needs 'step', a count in i64");
  parameters_.copy_into(values_, averages, source);
  update_count_ = *count;
}

}  // namespace sfumato
