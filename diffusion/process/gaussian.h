// The forward process of Ho et al. 2020 (section 2): an image turns into noise, one small Gaussian step at a time or
// all at once; and the posterior of a step, which the sampler learns to follow backwards.
//
//   Tensor x_t = q_sample(schedule, x0, t, noise);          // t: (N) i64
//   auto [mean, variance] = q_posterior(schedule, x_t, x0, t);
//
// All images are (N, ...), f32 or f64; t is (N) i64 or i32 with 0-based indices 0..T-1 (the papers' t - 1). A timestep
// outside the schedule, and shapes that do not fit, throw.
#pragma once

#include <span>

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

// q(x_t | x_0) in closed form: sqrt(A_t) x_0 + sqrt(1 - A_t) noise (equation 4).
Tensor q_sample(const NoiseSchedule& schedule, const Tensor& x0, const Tensor& t, const Tensor& noise);

// One step, q(x_t | x_{t-1}): sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) noise (equation 2).
Tensor q_step(const NoiseSchedule& schedule, const Tensor& x_previous, const Tensor& t, const Tensor& noise);

// The single noise with which q_sample lands where the steps 0..t land with step_noises[0..t], t =
// step_noises.size()-1:
//
//   eps = sum_s sqrt(A_t / A_s) sqrt(beta_s) e_s / sqrt(1 - A_t)
Tensor equivalent_noise(const NoiseSchedule& schedule, std::span<const Tensor> step_noises);

struct Posterior {
  Tensor mean;      // (N, ...)
  Tensor variance;  // (N, 1, ..., 1)
};

// q(x_{t-1} | x_t, x_0) (equations 6 and 7):
//
//   mean = sqrt(A_{t-1}) beta_t / (1 - A_t) x_0 + sqrt(alpha_t) (1 - A_{t-1}) / (1 - A_t) x_t,  variance = beta~_t
//
// At t = 0 it is x_0 with variance 0.
Posterior q_posterior(const NoiseSchedule& schedule, const Tensor& x_t, const Tensor& x0, const Tensor& t);

}  // namespace sfumato
