#include "nn/optim/optimizer.h"

#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {

Optimizer::Optimizer(FlatParameters& parameters, double lr, std::vector<std::string> moments)
    : parameters_(parameters), default_lr_(lr), ranges_{{0, parameters.size()}} {
  for (std::string& name : moments) {
    moments_.emplace_back(std::move(name), parameters.zeros());
  }
}

void Optimizer::step(const Tensor& gradients, double lr, double grad_scale) {
  int64_t at = 0;
  std::vector<Tensor> moments(moments_.size());
  for (const FlatRange& range : ranges_) {
    for (size_t i = 0; i < moments.size(); ++i) {
      moments[i] = narrow(moments_[i].second, 0, at, range.size());
    }
    Tensor values = narrow(parameters_.values(), 0, range.begin, range.size());
    update(values, narrow(gradients, 0, range.begin, range.size()), moments, step_count_ + 1, lr, grad_scale);
    at += range.size();
  }
  ++step_count_;
}

void Optimizer::keep_only(std::vector<FlatRange> ranges) {
  check(step_count_ == 0, "optimizer: keep_only() must come before the first step, this is after ", step_count_);
  ranges_ = std::move(ranges);
  for (auto& [name, moment] : moments_) {
    moment = kept_of(moment);
  }
}

// A buffer of its own, unless everything is kept.
Tensor Optimizer::kept_of(const Tensor& flat) const {
  if (ranges_.size() == 1 && ranges_.front().size() == parameters_.size()) {
    return flat;
  }
  std::vector<Tensor> parts;
  for (const FlatRange& range : ranges_) {
    parts.push_back(narrow(flat, 0, range.begin, range.size()));
  }
  return parts.empty() ? sfumato::zeros({0}) : cat(parts, 0);
}

NamedTensors Optimizer::state(const std::function<void(Tensor& flat)>& complete) const {
  NamedTensors all;
  Tensor count = zeros({}, DType::i64);
  *count.mutable_data<int64_t>() = step_count_;
  all.emplace_back("step", count);
  for (const auto& [moment, kept] : moments_) {
    Tensor flat = kept;
    if (kept.numel() != parameters_.size()) {
      check(complete != nullptr, "optimizer: the state of ", moment, " is not all here");
      flat = parameters_.zeros();
      int64_t at = 0;
      for (const FlatRange& range : ranges_) {
        narrow(flat, 0, range.begin, range.size()).copy_from(narrow(kept, 0, at, range.size()));
        at += range.size();
      }
    }
    if (complete != nullptr) {
      complete(flat);
    }
    for (auto& [name, tensor] : parameters_.views(flat)) {
      all.emplace_back(moment + "." + name, std::move(tensor));
    }
  }
  return all;
}

void Optimizer::load_state(std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source) {
  std::optional<int64_t> step;
  std::vector<NamedTensors> parts(moments_.size());
  std::string unexpected;
  for (const auto& [name, tensor] : tensors) {
    if (name == "step" && tensor.dtype() == DType::i64 && tensor.numel() == 1) {
      step = *tensor.data<int64_t>();
      continue;
    }
    bool found = false;
    for (size_t i = 0; i < moments_.size() && !found; ++i) {
      const std::string prefix = moments_[i].first + ".";
      found = name.starts_with(prefix);
      if (found) {
        parts[i].emplace_back(name.substr(prefix.size()), tensor);
      }
    }
    if (!found) {
      unexpected += (unexpected.empty() ? "" : ", ") + name;
    }
  }
  check(unexpected.empty(), source, ": the optimiser has no state called ", unexpected);
  check(step.has_value() && *step >= 0, source, ": the optimiser's state needs 'step', a count in i64");
  // All parts are checked before the first one replaces anything.
  std::vector<Tensor> loaded;
  for (size_t i = 0; i < moments_.size(); ++i) {
    loaded.push_back(parameters_.zeros());
    parameters_.copy_into(loaded.back(), parts[i], std::string(source) + " (" + moments_[i].first + ")");
  }
  for (size_t i = 0; i < moments_.size(); ++i) {
    moments_[i].second = kept_of(loaded[i]);
  }
  step_count_ = *step;
}

// Without momentum there is nothing to remember.
Sgd::Sgd(FlatParameters& parameters, const SgdOptions& options)
    : Optimizer(parameters,
                options.lr,
                options.momentum != 0 ? std::vector<std::string>{"momentum_buffer"} : std::vector<std::string>{}),
      options_(options) {}

void Sgd::update(Tensor& parameters,
                 const Tensor& gradients,
                 std::span<Tensor> moments,
                 int64_t step,
                 double lr,
                 double grad_scale) {
  SgdOptions o = options_;
  o.step = step;
  o.lr = lr;
  o.grad_scale = grad_scale;
  Tensor none;
  sgd_(parameters, gradients, o.momentum != 0 ? moments[0] : none, o);
}

Adam::Adam(FlatParameters& parameters, const AdamOptions& options)
    : Optimizer(parameters, options.lr, {"exp_avg", "exp_avg_sq"}), options_(options) {}

void Adam::update(Tensor& parameters,
                  const Tensor& gradients,
                  std::span<Tensor> moments,
                  int64_t step,
                  double lr,
                  double grad_scale) {
  AdamOptions o = options_;
  o.step = step;
  o.lr = lr;
  o.grad_scale = grad_scale;
  adam_(parameters, gradients, moments[0], moments[1], o);
}

namespace {
AdamOptions decoupled(AdamOptions options) {
  options.decoupled = true;
  return options;
}
}  // namespace

AdamW::AdamW(FlatParameters& parameters, AdamOptions options) : Adam(parameters, decoupled(options)) {}

std::unique_ptr<Optimizer> make_optimizer(FlatParameters& parameters, const OptimizerOptions& o) {
  if (o.name == "sgd") {
    return std::make_unique<Sgd>(
        parameters,
        SgdOptions{.lr = o.lr, .momentum = o.momentum, .weight_decay = o.weight_decay, .nesterov = o.nesterov});
  }
  check(o.name == "adam" || o.name == "adamw", "optimizer: must be sgd, adam or adamw, got '", o.name, "'");
  return std::make_unique<Adam>(parameters, AdamOptions{.lr = o.lr,
                                                        .beta1 = o.beta1,
                                                        .beta2 = o.beta2,
                                                        .eps = o.eps,
                                                        .weight_decay = o.weight_decay,
                                                        .decoupled = o.name == "adamw"});
}

}  // namespace sfumato
