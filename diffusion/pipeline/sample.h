// Sampling from a pipeline: noise, a sampler chosen by name, and a fixed way of batching.
//
//   Tensor images = draw_samples(pipeline, {.num = 100, .sampler = "ddim", .steps = 50, .seed = 7});  // (100, C, H, W)
//
// Image i of a seed depends on (seed, i) and the model alone: its noise comes from a stream of its own, and the network
// always runs on chunks of one fixed size (the last one padded), so an image has the same bits alone and among others.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "diffusion/pipeline/model_folder.h"

namespace sfumato {

struct SampleOptions {
  int64_t num = 1;
  std::string sampler;  // "ddpm" or "ddim"; empty: what the scheduler's class says
  int64_t steps = 0;    // 0: every training timestep for ddpm, 50 for ddim
  double eta = 0;       // of ddim
  uint64_t seed = 0;
  int64_t chunk = 0;  // samples that go through the network together; 0: 16 images or 1024 points
  Tensor x_T = {};    // the start (N, sample shape...) instead of drawn noise; sets num
  std::function<void(int64_t done, int64_t total)> progress = {};  // after each step, in samples * steps
};

// f32 (num, sample shape...) in the model's range; clamped only if the scheduler says clip_sample. Throws Error for an
// unknown sampler or settings that the schedule does not allow.
Tensor draw_samples(const Pipeline& pipeline, const SampleOptions& options);
// The same for a network with its schedule that are not in a Pipeline, as while training.
Tensor draw_samples(const DenoisingNetwork& network, const SchedulerConfig& scheduler, const SampleOptions& options);

}  // namespace sfumato
