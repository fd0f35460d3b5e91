// What becomes of data under noise, seen at chosen times: the rows of a noising strip.
//
//   const std::vector<int64_t> times{0, 250, 500, 1000};
//   RandomScope scope({.seed = 7});
//   Tensor x = noising_trajectory(schedule, x0, times);                               // (4, N, ...); x[0] is x0
//   Tensor walk = noising_trajectory(schedule, x0, times, NoisingMode::stepwise);
//
// Times are the lectures' t = 0..T: t = 0 is the data, t = 1 the first step (index 0 of the schedule).
#pragma once

#include <span>

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

enum class NoisingMode {
  // x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) eps with one eps for all times: each marginal is right, and a row is a smooth
  // path from the data to its noise.
  closed_form,
  // The Markov chain x_t = sqrt(1 - beta_t) x_{t-1} + sqrt(beta_t) e_t, with new noise e_t at every step: the joint
  // distribution of the times is right, too.
  stepwise,
};

// x0: (N, ...), f32 or f64; times ascending, each 0..T. Returns (times.size(), N, ...). Row n's noise comes from the
// RandomScope in force and depends on its seed and on n (counted from its first_sample) alone. Throws Error for times
// outside the schedule or out of order.
Tensor noising_trajectory(const NoiseSchedule& schedule,
                          const Tensor& x0,
                          std::span<const int64_t> times,
                          NoisingMode mode = NoisingMode::closed_form);

}  // namespace sfumato
