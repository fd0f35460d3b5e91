// Ema: the exponential moving average of a network's parameters, which diffusion models sample with (Ho et al. 2020).
//
//   Ema ema(flat, {.decay = 0.9999});
//   adam.step(...);
//   ema.update();                                    // average += (1 - decay) * (parameters - average)
//   { EmaScope scope(ema); sample(net); }            // the network computes with the average in here
//
// Update k (from 0) has decay min(decay, (1 + k) / (10 + k)) with warm-up, so that a short run's average is not mostly
// the initial weights; without it, `decay` always. The average starts as a copy of the parameters.
#pragma once

#include "nn/optim/flat_parameters.h"

namespace sfumato {

struct EmaOptions {
  double decay = 0.9999;
  bool warmup = false;
};

class Ema {
 public:
  // 0 <= decay <= 1. The flat parameters must outlive the average.
  explicit Ema(FlatParameters& parameters, const EmaOptions& options = {});

  // Moves the average towards the parameters: once after each optimiser step.
  void update();
  // The decay of update number `update`, from 0.
  double decay_at(int64_t update) const;
  int64_t update_count() const { return update_count_; }

  const Tensor& values() const { return values_; }
  // The module's state dict with the averages in the parameters' place; buffers are the module's. Tensors are views.
  NamedTensors as_state_dict(const Module& module) const;

  // For checkpoints: "step" (i64, rank 0) and the averages by parameter name below "ema.".
  NamedTensors state() const;
  // Throws, listing them, for names that are missing, unexpected or of another shape.
  void load_state(std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source = "ema");

 private:
  friend class EmaScope;
  FlatParameters& parameters_;
  EmaOptions options_;
  int64_t update_count_ = 0;
  Tensor values_;
};

// While it lives, the module's parameters are the averages: nothing is copied. Do not train or update() inside.
class EmaScope {
 public:
  explicit EmaScope(Ema& ema) : parameters_(ema.parameters_) { parameters_.point_at(ema.values_); }
  ~EmaScope() { parameters_.point_back(); }
  EmaScope(const EmaScope&) = delete;
  EmaScope& operator=(const EmaScope&) = delete;

 private:
  FlatParameters& parameters_;
};

}  // namespace sfumato
