// DDIM (Song, Meng & Ermon 2021, "Denoising diffusion implicit models", equations 12 and 16): deterministic for
// eta = 0, ancestral for eta = 1, good with few steps.
//
//   Tensor images = ddim_sample(denoiser, schedule, x_T, {.timesteps = {.steps = 50}});
//
//   x_prev = sqrt(A_prev) x_0 + sqrt(1 - A_prev - sigma²) eps + sigma z,
//   sigma = eta sqrt((1 - A_prev) / (1 - A_t)) sqrt(1 - A_t / A_prev)
//
// Reproduces diffusers' DDIMScheduler; with f32 tables, to rounding. Of a network with a learned variance the
// prediction alone is used.
#pragma once

#include "diffusion/samplers/denoiser.h"
#include "diffusion/schedule/noise_schedule.h"
#include "diffusion/schedule/timesteps.h"

namespace sfumato {

struct DdimOptions {
  TimestepOptions timesteps = {};
  PredictionOptions prediction = {};
  double eta = 0;
  // Whether the last step ends in the clean image (A = 1) or, as some old checkpoints expect, at A of index 0.
  bool set_alpha_to_one = true;
  // Whether eps is derived from the clipped x_0 (the paper's form is then kept consistent) or is the network's own.
  bool use_clipped_model_output = false;
  // diffusers steps by a fixed stride. With next_grid_point, the ancestral sampler's rule, eta = 1 is that sampler.
  PreviousStep previous = PreviousStep::fixed_stride;
  NoiseSource noise = {};     // used for eta > 0 only; empty: step_noise of the RandomScope in force
  StepCallback on_step = {};  // may be empty
};

// x_T: (N, ...), f32 or f64. Returns x_0 of the same shape and dtype. Throws unless 0 <= eta <= 1.
Tensor ddim_sample(const Denoiser& denoiser,
                   const NoiseSchedule& schedule,
                   const Tensor& x_T,
                   const DdimOptions& options = {});

// DDIM run backwards (the same paper, section 4.3): from an image to the noise that ddim_sample turns into it, up to an
// error that vanishes like 1/steps. Each step up from t to the next timestep t' of the grid takes the eps of x_t at t,
// where sampling will take that of x_t' at t'; the first, from the clean image, takes it at the grid's lowest timestep.
//
//   Tensor x_T = ddim_invert(denoiser, schedule, image, {.timesteps = {.steps = 250}});
//
// Options as in ddim_sample, but always along the grid; eta must be 0. The callback's x_previous is the noisier image.
Tensor ddim_invert(const Denoiser& denoiser,
                   const NoiseSchedule& schedule,
                   const Tensor& x0,
                   const DdimOptions& options = {});

// One step as x_previous = x0 · x_0 + epsilon · eps + sigma z, computed in the precision of the tables.
struct DdimStep {
  double x0;
  double epsilon;
  double sigma;
};
DdimStep ddim_step(const NoiseSchedule& schedule, GridStep step, double eta, bool set_alpha_to_one = true);

}  // namespace sfumato
