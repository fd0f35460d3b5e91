// Runge-Kutta solvers of the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma: Euler, Heun (Karras et al.
// 2022, "EDM", algorithms 1 and 2) and the classic fourth-order method.
//
//   Tensor images = heun_sample(denoiser, x, karras_sigmas(18, 0.002, 80));
//   Tensor lively = heun_sample(denoiser, x, sigmas, {.churn = {.amount = 40, .min = 0.05, .max = 50, .noise
//   = 1.003}});
//
// x is x_0 + sigmas[0] eps, that is sigmas[0] times standard noise for a large sigmas[0]. A last level of 0 is reached
// by an Euler step, because D is not defined there.
#pragma once

#include <limits>

#include "diffusion/samplers/sigma_denoiser.h"

namespace sfumato {

// EDM's algorithm 2: before each step at min <= sigma <= max, noise raises sigma to sigma (1 + gamma), gamma =
// min(amount / steps, sqrt(2) - 1); amount 0 is none.
struct ChurnOptions {
  double amount = 0;                                     // S_churn
  double min = 0;                                        // S_tmin
  double max = std::numeric_limits<double>::infinity();  // S_tmax
  double noise = 1;                                      // S_noise: the standard deviation of that noise
};

struct SolverOptions {
  ChurnOptions churn = {};
  NoiseSource noise = {};       // of churn; empty: step_noise of the RandomScope in force
  SolverCallback on_step = {};  // may be empty; its x and sigma are those before churn
};

// Order 1, one evaluation a step. Without churn this is DDIM.
Tensor euler_sample(const SigmaDenoiser& denoiser,
                    const Tensor& x,
                    std::span<const double> sigmas,
                    const SolverOptions& options = {});
// Order 2, two evaluations a step.
Tensor heun_sample(const SigmaDenoiser& denoiser,
                   const Tensor& x,
                   std::span<const double> sigmas,
                   const SolverOptions& options = {});
// Order 4, four evaluations a step.
Tensor rk4_sample(const SigmaDenoiser& denoiser,
                  const Tensor& x,
                  std::span<const double> sigmas,
                  const SolverOptions& options = {});

}  // namespace sfumato
