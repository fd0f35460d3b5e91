// Trainer: Algorithm 1 of Ho et al. 2020 with everything that a step needs, and nothing about files or screens.
//
//   Trainer trainer(config, dataset->sample_shape());
//   DataLoader loader(dataset, {.batch_size = config.batch_size, .seed = seed, .first_step = trainer.step_count()});
//   while (trainer.step_count() < config.steps) {
//     const Batch batch = loader.next();
//     StepResult result = trainer.step(batch.images, batch.labels);        // labels where config.class_conditional
//   }
//
//   repeat
//     x_0 ~ q(x_0), t ~ Uniform(1..T), eps ~ N(0, I)
//     take a gradient step on |target - network(sqrt(A_t) x_0 + sqrt(1 - A_t) eps, t)|^2
//
// A class-conditional network is told the label too; with label_dropout each label is replaced by the null label with
// that probability, so that the same network learns to predict without a class (Ho & Salimans 2022).
//
// What fixes the bits. A batch is V = batch_size / micro_batch micro-batches. Each draws t, noise, dropout and dropped
// labels from random streams keyed by (seed, purpose, step, index in the batch), runs forward and backward with the
// same shapes, and the V gradients are added over a fixed binary tree (nn/optim/gradient_tree.h). So a run's weights
// are a function of the configuration, the data, the number of threads, the instruction set and the library versions,
// and not of interruptions, of other load on the machine, or of how many ranks share the micro-batches
// (nn/distributed/data_parallel.h). Every rank has a trainer and gives it the rows of the batch that are its own.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "diffusion/model/network.h"
#include "diffusion/schedule/noise_schedule.h"
#include "diffusion/train/checkpoint.h"
#include "diffusion/train/config.h"
#include "nn/distributed/data_parallel.h"
#include "nn/optim/ema.h"
#include "nn/optim/flat_parameters.h"
#include "nn/optim/optimizer.h"

namespace sfumato {

// How several ranks share the work: nothing of this changes what is computed.
struct TrainerOptions {
  bool zero1 = false;                       // Adam's moments are shared out over the ranks
  bool overlap = true;                      // gradients are exchanged while the backward pass goes on
  int64_t bucket_bytes = int64_t{1} << 20;  // of the pieces in which they are
};

struct StepResult {
  int64_t step = 0;      // the first is 1
  double loss = 0;       // mean over the batch
  double grad_norm = 0;  // before clipping
  double lr = 0;
  bool skipped = false;  // loss or norm was not finite: nothing has been updated
  double seconds = 0;    // that the step has taken here
  double waited = 0;     // of these, those spent waiting for other ranks and their messages
};

class Trainer {
 public:
  // Initialises the network from config.seed. `sample` is the shape of one: (C, H, W), or (D) for points. Throws
  // ConfigError.
  Trainer(const TrainConfig& config, const Shape& sample);
  // Of several ranks; LaunchError when they are too many or no power of two. The group must outlive the trainer.
  Trainer(const TrainConfig& config, const Shape& sample, ProcessGroup& group, const TrainerOptions& options = {});

  // The rows of each batch that are this rank's, and how many they are; all of them for a trainer that is alone.
  int64_t first_row() const { return parallel_->first_leaf() * config_.micro_batch; }
  int64_t num_rows() const { return parallel_->num_leaves() * config_.micro_batch; }

  // One optimiser update on x_0 (num_rows(), sample shape...) with labels, i64 (num_rows()), if the network takes any.
  // All ranks return the same.
  StepResult step(const Tensor& x0, const Tensor& labels = {});
  // Compares weights and averages of all ranks, which all call it; throws InternalError naming the first tensor that
  // differs and where.
  void check_ranks() const;
  // Which op first made a value that is not finite, in words, when the last step was skipped: runs it again on the same
  // rows with anomaly detection ("autograd/anomaly.h"). Empty when there is none: another rank's rows were bad, or a
  // sum of finite values overflowed. Changes nothing.
  std::string explain_skip(const Tensor& x0, const Tensor& labels = {});
  // Updates made (or skipped) so far.
  int64_t step_count() const { return step_; }

  const TrainConfig& config() const { return config_; }
  DenoisingNetwork& network() { return *network_; }
  Ema& ema() { return *ema_; }

  // Everything that the next step depends on: views of the tensors in use. Every rank must call it.
  CheckpointContents checkpoint() const;
  // Throws Error when names or shapes do not fit this configuration.
  void load(const CheckpointContents& contents);

 private:
  Trainer(const TrainConfig& config,
          const Shape& sample,
          std::unique_ptr<ProcessGroup> alone,
          ProcessGroup* group,
          const TrainerOptions& options);
  // Of a batch's mean, the share of these; everything random is that of the scope in force.
  Variable micro_batch_loss(const Tensor& x0, const Tensor& labels);
  double micro_batch_gradient(const Tensor& x0, const Tensor& labels, int64_t first_sample);

  std::unique_ptr<ProcessGroup> alone_;  // where no group was given
  ProcessGroup& group_;
  TrainConfig config_;
  std::unique_ptr<DenoisingNetwork> network_;
  NoiseSchedule schedule_;
  PredictionType prediction_type_;
  LrSchedule lr_schedule_;
  std::unique_ptr<FlatParameters> flat_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Ema> ema_;
  std::unique_ptr<DataParallel> parallel_;
  int64_t step_ = 0;
};

}  // namespace sfumato
