// Sampling from a pipeline: noise, a sampler chosen by name, and a fixed way of batching.
//
//   Tensor images = draw_samples(pipeline, {.num = 100, .sampler = "ddim", .steps = 50, .seed = 7});  // (100, C, H, W)
//
// Image i of a seed depends on (seed, i), its label and the model alone: its noise comes from a stream of its own, and
// the network always runs on chunks of one fixed size (the last one padded), so an image has the same bits alone and
// among others.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "diffusion/pipeline/model_folder.h"
#include "nn/distributed/process_group.h"

namespace sfumato {

struct SampleOptions {
  int64_t num = 1;
  std::string sampler;       // a name in "diffusion/samplers/table.h"; empty: what the scheduler's class says
  int64_t steps = 0;         // 0: the sampler's default (every training timestep for ddpm, 50 for ddim)
  double eta = 0;            // of ddim
  std::string spacing = {};  // leading, trailing, linspace or (not ddpm and ddim) karras; empty: the scheduler's
  uint64_t seed = 0;
  int64_t chunk = 0;  // samples that go through the network together; 0: 8 images or 1024 points
  Tensor x_T = {};    // the start (N, sample shape...) instead of drawn noise; sets num
  // For networks with classes: the label of each sample, i64 (num), and classifier-free guidance
  // ("diffusion/guidance/guidance.h"), which wants the label that means "no class".
  Tensor labels = {};
  double guidance_scale = 1;
  std::optional<int64_t> null_label = {};
  std::function<void(int64_t done, int64_t total)> progress = {};  // after each step, in samples * steps
  // Ranks that share the work: chunk c is drawn by rank c mod p, and all get all samples. Every rank calls with the
  // same options; progress is told of its own share.
  ProcessGroup* group = nullptr;
};

// f32 (num, sample shape...) in the model's range; clamped only if the scheduler says clip_sample. Throws Error for an
// unknown sampler or settings that the schedule does not allow.
Tensor draw_samples(const Pipeline& pipeline, const SampleOptions& options);
// The same for a network with its schedule that are not in a Pipeline, as while training.
Tensor draw_samples(const DenoisingNetwork& network, const SchedulerConfig& scheduler, const SampleOptions& options);

}  // namespace sfumato
