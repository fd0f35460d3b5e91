// The samplers by name, as the command line offers them: all of them on networks trained on a discrete schedule.
//
//   for (const NamedSampler& sampler : named_samplers()) std::cout << sampler.name << ": " << sampler.summary << "\n";
//   Tensor images = find_sampler("dpm++2m").run(denoiser, schedule, x_T, {.steps = 20, .spacing = "karras"});
//
// To add one: write its function, then its row in table.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "diffusion/samplers/ancestral.h"
#include "diffusion/schedule/scheduler_config.h"
#include "diffusion/schedule/sigmas.h"

namespace sfumato {

struct SamplerSettings {
  int64_t steps = 0;                // 0: the sampler's own default
  std::string spacing = "leading";  // trailing, linspace; and karras for all but ddpm and ddim
  int64_t steps_offset = 0;         // of leading
  PredictionOptions prediction = {};
  VarianceType variance = VarianceType::fixed_small;               // of ddpm
  double eta = 0;                                                  // of ddim
  bool set_alpha_to_one = true;                                    // of ddim
  const MultistepConfig* multistep = nullptr;                      // of multistep_solver() alone, which needs it
  NoiseSource noise = {};                                          // empty: step_noise of the RandomScope in force
  std::function<void(int64_t done, int64_t steps)> progress = {};  // after each step
};

struct NamedSampler {
  std::string_view name;
  std::string_view summary;
  int64_t default_steps;  // 0: every training timestep
  // x_T: (N, ...) standard normal, as for every variance-preserving sampler. Returns x_0.
  Tensor (*run)(const Denoiser& denoiser,
                const NoiseSchedule& schedule,
                const Tensor& x_T,
                const SamplerSettings& settings);
};

std::span<const NamedSampler> named_samplers();
// What diffusers' DPMSolverMultistepScheduler does with the fields in *settings.multistep: dpm++2m for the usual ones.
// Not among the names, for it is a model folder's, not a user's, to choose. Throws Error for fields of which nothing is
// built, by name.
const NamedSampler& multistep_solver();
// Throws Error naming those that exist.
const NamedSampler& find_sampler(std::string_view name);
// The number of steps that a sampler takes for these settings.
int64_t steps_of(const NamedSampler& sampler, int64_t steps, int64_t num_train_timesteps);

}  // namespace sfumato
