// Optimisers over a flat buffer: one pass over parameters, gradients and moments for each step.
//
//   FlatParameters flat(net);
//   Adam adam(flat, {.lr = 2e-4});
//   for (int64_t i = 0; i < steps; ++i) {
//     flat.zero_grad();
//     loss(net, batch(i)).backward();
//     adam.step();
//   }
//
// The formulas are PyTorch's ("tensor/ops/optim.h"). The flat parameters must outlive the optimiser.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/optim/flat_parameters.h"
#include "tensor/ops/optim.h"

namespace sfumato {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update with the gradients that backward passes have left in the flat parameters, at the options' rate.
  void step() { step(parameters_.gradients(), default_lr_); }
  // One update with `gradients` (flat) times grad_scale, the clipping factor.
  void step(const Tensor& gradients, double lr, double grad_scale = 1.0);
  // How many updates have been made.
  int64_t step_count() const { return step_count_; }

  // From now on keeps the moments of these elements alone and updates no others: somebody else does ("ZeRO-1",
  // Rajbhandari et al. 2020; "nn/distributed/data_parallel.h"). Ascending; before the first step.
  void keep_only(std::vector<FlatRange> ranges);

  // Everything that the next step depends on, for checkpoints: "step" (i64, rank 0) and each moment by parameter,
  // "exp_avg.conv_in.weight". The tensors are views: write them out before the next step.
  // After keep_only(), `complete` is given each moment as a flat buffer that holds what is kept, to fill in the rest.
  NamedTensors state(const std::function<void(Tensor& flat)>& complete = {}) const;
  // Throws, listing the names that are missing, unexpected or of another shape.
  void load_state(std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source = "optimizer");

 protected:
  // `moments` names the flat buffers that the optimiser keeps.
  Optimizer(FlatParameters& parameters, double lr, std::vector<std::string> moments);
  // Updates `parameters` as step number `step` (from 1). All tensors are flat and of one size.
  virtual void update(Tensor& parameters,
                      const Tensor& gradients,
                      std::span<Tensor> moments,
                      int64_t step,
                      double lr,
                      double grad_scale) = 0;

 private:
  Tensor kept_of(const Tensor& flat) const;

  FlatParameters& parameters_;
  double default_lr_;
  int64_t step_count_ = 0;
  std::vector<FlatRange> ranges_;  // of the elements that are kept
  NamedTensors moments_;           // those elements, one range after the other
};

// SGD with momentum, Nesterov's rule and weight decay; options.step and options.grad_scale are set by each step.
class Sgd : public Optimizer {
 public:
  explicit Sgd(FlatParameters& parameters, const SgdOptions& options = {});

 protected:
  void update(Tensor& parameters,
              const Tensor& gradients,
              std::span<Tensor> moments,
              int64_t step,
              double lr,
              double grad_scale) override;

 private:
  SgdOptions options_;
};

// Adam (Kingma & Ba 2015), and AdamW when options.decoupled; step and grad_scale are set by each step.
class Adam : public Optimizer {
 public:
  explicit Adam(FlatParameters& parameters, const AdamOptions& options = {});

 protected:
  void update(Tensor& parameters,
              const Tensor& gradients,
              std::span<Tensor> moments,
              int64_t step,
              double lr,
              double grad_scale) override;

 private:
  AdamOptions options_;
};

// Adam with decoupled weight decay (Loshchilov & Hutter 2019); the decay that options give, as PyTorch's is 0.01.
class AdamW : public Adam {
 public:
  explicit AdamW(FlatParameters& parameters, AdamOptions options = {.weight_decay = 0.01});
};

// By the name in a config: "sgd", "adam" or "adamw".
struct OptimizerOptions {
  std::string name = "adam";
  double lr = 1e-3;
  double momentum = 0;  // sgd
  bool nesterov = false;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // adam, adamw
  double weight_decay = 0;
};
std::unique_ptr<Optimizer> make_optimizer(FlatParameters& parameters, const OptimizerOptions& options);

}  // namespace sfumato
