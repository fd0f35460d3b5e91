#include "diffusion/train/trainer.h"

#include <chrono>
#include <cmath>

#include "autograd/anomaly.h"
#include "diffusion/objective/objective.h"
#include "diffusion/process/gaussian.h"
#include "diffusion/train/environment.h"
#include "nn/distributed/replicas.h"
#include "nn/init.h"
#include "nn/optim/clip.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato {
namespace {

// The labels with each replaced by `null_label` with probability p, drawn for the samples of the scope in force.
Tensor with_dropped_labels(const Tensor& labels, double p, int64_t null_label) {
  const Tensor chance = rand(labels.shape(), "label-dropout", DType::f64);
  return where(lt(chance, p), full(labels.shape(), static_cast<double>(null_label), DType::i64), labels);
}

}  // namespace

Trainer::Trainer(const TrainConfig& config, const Shape& sample)
    : Trainer(config, sample, single_process(), nullptr, {}) {}

Trainer::Trainer(const TrainConfig& config, const Shape& sample, ProcessGroup& group, const TrainerOptions& options)
    : Trainer(config, sample, nullptr, &group, options) {}

Trainer::Trainer(const TrainConfig& config,
                 const Shape& sample,
                 std::unique_ptr<ProcessGroup> alone,
                 ProcessGroup* group,
                 const TrainerOptions& options)
    : alone_(std::move(alone)),
      group_(group != nullptr ? *group : *alone_),
      config_(config),
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
  parallel_ = std::make_unique<DataParallel>(*flat_, config.num_micro_batches(), group_,
                                             DataParallelOptions{.zero1 = options.zero1,
                                                                 .bf16 = config.gradient_exchange == "bf16",
                                                                 .overlap = options.overlap,
                                                                 .bucket_bytes = options.bucket_bytes});
  parallel_->prepare(*optimizer_);
}

Variable Trainer::micro_batch_loss(const Tensor& x0, const Tensor& labels) {
  const Tensor t = randint(0, schedule_.num_timesteps(), {x0.size(0)}, "timestep");
  const Tensor noise = randn(x0.shape(), "noise");
  const Tensor x_t = q_sample(schedule_, x0, t, noise);
  const Tensor target = training_target(schedule_, prediction_type_, x0, noise, t);
  const Tensor told =
      config_.label_dropout > 0 ? with_dropped_labels(labels, config_.label_dropout, config_.null_label()) : labels;

  Variable errors = square((*network_)(x_t, t, told) - target);
  if (config_.min_snr_gamma > 0) {
    const Tensor weights = loss_weights(schedule_, prediction_type_, t, {.min_snr_gamma = config_.min_snr_gamma});
    Shape one_per_sample = Shape::filled(x0.dim(), 1);
    one_per_sample[0] = x0.size(0);
    errors = errors * reshape(weights, one_per_sample);
  }
  // Each micro-batch contributes its share of the batch's mean; V is a power of two, so the division is exact.
  return mean(errors) * (1.0 / static_cast<double>(config_.num_micro_batches()));
}

double Trainer::micro_batch_gradient(const Tensor& x0, const Tensor& labels, int64_t first_sample) {
  const RandomScope scope({.seed = static_cast<uint64_t>(config_.seed), .step = step_, .first_sample = first_sample});
  parallel_->begin_leaf();
  const Variable loss = micro_batch_loss(x0, labels);
  loss.backward();
  parallel_->end_leaf();
  return loss.item();
}

// No gradient is exchanged: the other ranks may have found nothing, and would wait.
std::string Trainer::explain_skip(const Tensor& x0, const Tensor& labels) {
  const std::vector<Variable> parameters = network_->parameters();
  try {
    const AnomalyGuard guard;
    for (int64_t row = 0; row < num_rows(); row += config_.micro_batch) {
      const RandomScope scope({.seed = static_cast<uint64_t>(config_.seed),
                               .step = step_ - 1,  // step() has counted it
                               .first_sample = first_row() + row});
      const Tensor of_these = labels.defined() ? narrow(labels, 0, row, config_.micro_batch) : Tensor();
      grad(micro_batch_loss(narrow(x0, 0, row, config_.micro_batch), of_these), parameters);
    }
  } catch (const AnomalyError& error) {
    return error.op() + " (" + error.what() + ")";
  }
  return {};
}

StepResult Trainer::step(const Tensor& x0, const Tensor& labels) {
  check(x0.size(0) == num_rows(), "train: a batch of ", num_rows(), " images expected, got ", x0.shape());
  check(labels.defined() == config_.class_conditional && (!labels.defined() || labels.shape() == Shape{x0.size(0)}),
        "train: labels of a batch of ", x0.size(0), " are for a class-conditional network and no other, got ",
        labels.defined() ? to_string(labels.shape()) : "none");
  const auto begin = std::chrono::steady_clock::now();
  parallel_->reset();
  std::vector<double> losses;
  for (int64_t row = 0; row < num_rows(); row += config_.micro_batch) {
    const Tensor of_these = labels.defined() ? narrow(labels, 0, row, config_.micro_batch) : Tensor();
    losses.push_back(micro_batch_gradient(narrow(x0, 0, row, config_.micro_batch), of_these, first_row() + row));
  }
  double loss = 0;
  for (const double of_leaf : parallel_->of_all_leaves(losses)) {
    loss += of_leaf;
  }
  ++step_;
  StepResult result{
      .step = step_, .loss = loss, .grad_norm = parallel_->gradient_norm(), .lr = learning_rate(lr_schedule_, step_)};
  result.skipped = !std::isfinite(result.loss) || !std::isfinite(result.grad_norm);
  if (!result.skipped) {
    const double clip = config_.max_grad_norm > 0 ? clip_coefficient(result.grad_norm, config_.max_grad_norm) : 1.0;
    parallel_->step(*optimizer_, result.lr, clip);
    ema_->update();
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.waited = parallel_->waited_seconds();
  return result;
}

void Trainer::check_ranks() const {
  check_replicas(group_, network_->state_dict(), fmt::format("weights after step {}", step_));
  check_replicas(group_, ema_->state(), fmt::format("averages after step {}", step_));
}

CheckpointContents Trainer::checkpoint() const {
  return {.step = step_,
          .weights = network_->state_dict(),
          .optimizer = parallel_->state_of(*optimizer_),
          .ema = ema_->state(),
          .environment = environment_json()};
}

void Trainer::load(const CheckpointContents& contents) {
  network_->load_state_dict(contents.weights, "checkpoint weights");
  optimizer_->load_state(contents.optimizer, "checkpoint optimizer");
  ema_->load_state(contents.ema, "checkpoint ema");
  step_ = contents.step;
}

}  // namespace sfumato
