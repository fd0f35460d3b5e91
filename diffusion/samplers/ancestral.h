// Ancestral sampling: Algorithm 2 of Ho et al. 2020. From x_T ~ N(0, I) each step draws x_{t-1} from a Gaussian around
// the posterior mean of q(x_{t-1} | x_t, x_0) with the predicted x_0 put in.
//
//   Tensor images = ancestral_sample(denoiser, schedule, x_T, {.timesteps = {.steps = 250},
//                                                              .prediction = {.clip_sample = true},
//                                                              .noise = step_noise(seed)});
//
//   x_prev = sqrt(A_prev) beta / (1 - A_t) x_0 + sqrt(alpha) (1 - A_prev) / (1 - A_t) x_t + sigma z
//
// where alpha = A_t / A_prev and beta = 1 - alpha: on a grid that skips timesteps these are the re-spaced ones (Nichol
// & Dhariwal 2021). Reproduces diffusers' DDPMScheduler; with f32 tables, to rounding.
#pragma once

#include <string_view>

#include "diffusion/samplers/denoiser.h"
#include "diffusion/schedule/noise_schedule.h"
#include "diffusion/schedule/timesteps.h"

namespace sfumato {

// sigma² of a step. Ho et al. section 3.2: fixed_large is right for x_0 ~ N(0, I), fixed_small for a known x_0.
enum class VarianceType {
  fixed_small,      // beta~ = beta (1 - A_prev) / (1 - A_t), at least 1e-20
  fixed_small_log,  // the same by way of its logarithm
  fixed_large,      // beta
};

// diffusers' names; parsing an unknown or unsupported one (learned, learned_range, fixed_large_log) throws.
std::string_view name_of(VarianceType type);
VarianceType parse_variance_type(std::string_view name);

struct AncestralOptions {
  TimestepOptions timesteps = {};
  PredictionOptions prediction = {};
  VarianceType variance = VarianceType::fixed_small;
  PreviousStep previous = PreviousStep::next_grid_point;
  NoiseSource noise = {};     // empty: step_noise of the RandomScope in force
  StepCallback on_step = {};  // may be empty
};

// x_T: (N, ...), f32 or f64. Returns x_0 of the same shape and dtype.
Tensor ancestral_sample(const Denoiser& denoiser,
                        const NoiseSchedule& schedule,
                        const Tensor& x_T,
                        const AncestralOptions& options = {});

// One step as x_previous = x0 · x_0 + x_t · x_t + sigma z, computed in the precision of the tables.
struct AncestralStep {
  double x0;
  double x_t;
  double sigma;  // 0 at t = 0: Algorithm 2 adds no noise there
};
// From t to `previous` (-1: to the clean image). As in diffusers, only t = 0 is without noise: a grid that ends above
// it (trailing, or with an offset) adds sigma z in its last step too, which fixed_large makes visible.
AncestralStep ancestral_step(const NoiseSchedule& schedule, GridStep step, VarianceType variance);

}  // namespace sfumato
