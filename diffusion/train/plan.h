// What a training run will need, before it is started: arithmetic, peak memory, seconds per step.
//
//   StepPlan plan = plan_step(config, /*sample=*/{3, 32, 32}, measure_machine());
//   plan.peak_bytes;                    // what the allocator will report after the first steps
//   plan.seconds;                       // an estimate: the ops' costs against this machine's rates
//
// Arithmetic and memory are not modelled but counted: two steps of the real trainer in a dry run ("tensor/cost.h"),
// which takes the memory that the step would take and computes nothing.
#pragma once

#include "diffusion/train/config.h"

namespace sfumato {

// What this machine reaches now, with all threads of the process.
struct MachineRates {
  double matmul_flops = 0;      // per second, a large f32 product
  double bytes_per_second = 0;  // of an elementwise addition in memory larger than the caches
};
// Takes about a quarter of a second.
MachineRates measure_machine();

struct StepPlan {
  int64_t parameters = 0;
  double forward_macs = 0;  // multiply-adds of one sample's forward pass
  double step_flops = 0;    // of a whole optimiser step: all micro-batches, forward and backward
  double step_bytes = 0;    // memory traffic of the same, each operand moved once
  int64_t ops = 0;          // ops in it
  // Tensor memory: weights, averages, optimiser state and gradients, then everything at the peak of a step. The batches
  // that are read ahead count; the data set and the code do not.
  size_t state_bytes = 0;
  size_t peak_bytes = 0;
  size_t reserved_bytes = 0;  // what the allocator will hold, freed blocks that it keeps for reuse included
  double seconds = 0;         // per optimiser step
};

// `sample`: the shape of one, (C, H, W) or (D). Throws ConfigError.
StepPlan plan_step(const TrainConfig& config, const Shape& sample, const MachineRates& machine);

}  // namespace sfumato
