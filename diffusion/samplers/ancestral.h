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
  fixed_large_log,  // only named: diffusers' sampler takes the root of a logarithm for it, so sampling refuses it
  // By the network, in the second half of its output v:
  learned,        // v itself
  learned_range,  // exp(w log(beta) + (1 - w) log(beta~)), w = (v + 1) / 2 (Nichol & Dhariwal 2021, equation 15)
};

constexpr bool is_learned(VarianceType type) {
  return type == VarianceType::learned || type == VarianceType::learned_range;
}

// diffusers' names; parsing an unknown one throws.
std::string_view name_of(VarianceType type);
VarianceType parse_variance_type(std::string_view name);
// Only those that need nothing of the network and can be sampled with: fixed_small, fixed_small_log, fixed_large.
VarianceType parse_fixed_variance_type(std::string_view name);

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

// p(x_previous | x_t) as the sampler draws from it: a Gaussian with a variance of its own for each pixel, or one for
// all (then `variance` has rank 0). At t = 0, where the sampler takes the mean alone, the fixed variances are those of
// the next timestep's fixed_small, beta~ (Ho et al.'s choice for the decoder; 0 for a schedule of one timestep).
struct ReverseStep {
  Tensor x0;  // predicted
  Tensor mean;
  Tensor variance;
};
ReverseStep reverse_step(const Denoiser& denoiser,
                         const NoiseSchedule& schedule,
                         GridStep step,
                         const Tensor& x_t,
                         const PredictionOptions& prediction,
                         VarianceType variance);

// One step as x_previous = x0 · x_0 + x_t · x_t + sigma z, computed in the precision of the tables.
struct AncestralStep {
  double x0;
  double x_t;
  double sigma;  // 0 at t = 0: Algorithm 2 adds no noise there; for a learned variance that of fixed_small
  double log_small, log_large;  // of beta~ and beta: between them learned_range chooses
};
// From t to `previous` (-1: to the clean image). As in diffusers, only t = 0 is without noise: a grid that ends above
// it (trailing, or with an offset) adds sigma z in its last step too, which fixed_large makes visible.
AncestralStep ancestral_step(const NoiseSchedule& schedule, GridStep step, VarianceType variance);

}  // namespace sfumato
