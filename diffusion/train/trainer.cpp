#include "diffusion/train/trainer.h"

#include <cmath>

#include "diffusion/objective/objective.h"
#include "diffusion/process/gaussian.h"
#include "nn/init.h"
#include "nn/optim/clip.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato {

Trainer::Trainer(const TrainConfig& config, const Shape& sample)
    : config_(config),
      network_(config.make_network(sample)),
      schedule_(config.scheduler_config().make_schedule()),
      prediction_type_(parse_prediction_type(config.prediction_type)),
      lr_schedule_(config.lr_schedule()) {
  initialize(*network_, static_cast<uint64_t>(config.seed));
  network_->train();
  flat_ = std::make_unique<FlatParameters>(*network_);
  const AdamOptions adam{.lr = config.lr,
                         .beta1 = config.beta1,
                         .beta2 = config.beta2,
                         .weight_decay = config.weight_decay,
                         .decoupled = true};
  optimizer_ = std::make_unique<Adam>(*flat_, adam);
  ema_ = std::make_unique<Ema>(*flat_, EmaOptions{.decay = config.ema_decay, .warmup = config.ema_warmup});
  tree_ = std::make_unique<GradientTree>(flat_->size(), config.num_micro_batches());
}

double Trainer::micro_batch_gradient(const Tensor& x0, int64_t first_sample) {
  const RandomScope scope({.seed = static_cast<uint64_t>(config_.seed), .step = step_, .first_sample = first_sample});
  const Tensor t = randint(0, schedule_.num_timesteps(), {x0.size(0)}, "timestep");
  const Tensor noise = randn(x0.shape(), "noise");
  const Tensor x_t = q_sample(schedule_, x0, t, noise);
  const Tensor target = training_target(schedule_, prediction_type_, x0, noise, t);

  flat_->begin_gradients(tree_->next_buffer());
  Variable errors = square((*network_)(x_t, t) - target);
  if (config_.min_snr_gamma > 0) {
    const Tensor weights = loss_weights(schedule_, prediction_type_, t, {.min_snr_gamma = config_.min_snr_gamma});
    Shape one_per_sample = Shape::filled(x0.dim(), 1);
    one_per_sample[0] = x0.size(0);
    errors = errors * reshape(weights, one_per_sample);
  }
  // Each micro-batch contributes its share of the batch's mean; V is a power of two, so the division is exact.
  const Variable loss = mean(errors) * (1.0 / static_cast<double>(config_.num_micro_batches()));
  loss.backward();
  flat_->gradients();
  tree_->push();
  return loss.item();
}

StepResult Trainer::step(const Tensor& x0) {
  check(x0.size(0) == config_.batch_size, "train: a batch of ", config_.batch_size, " images expected, got ",
        x0.shape());
  tree_->reset();
  double loss = 0;
  for (int64_t first = 0; first < config_.batch_size; first += config_.micro_batch) {
    loss += micro_batch_gradient(narrow(x0, 0, first, config_.micro_batch), first);
  }
  ++step_;
  StepResult result{.step = step_,
                    .loss = loss,
                    .grad_norm = gradient_norm(tree_->total()),
                    .lr = learning_rate(lr_schedule_, step_)};
  result.skipped = !std::isfinite(result.loss) || !std::isfinite(result.grad_norm);
  if (!result.skipped) {
    const double clip = config_.max_grad_norm > 0 ? clip_coefficient(result.grad_norm, config_.max_grad_norm) : 1.0;
    optimizer_->step(tree_->total(), result.lr, clip);
    ema_->update();
  }
  return result;
}

void Trainer::load(int64_t step, const NamedTensors& weights, const NamedTensors& optimizer, const NamedTensors& ema) {
  network_->load_state_dict(weights, "checkpoint weights");
  optimizer_->load_state(optimizer, "checkpoint optimizer");
  ema_->load_state(ema, "checkpoint ema");
  step_ = step;
}

}  // namespace sfumato
