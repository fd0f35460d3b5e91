// An adaptive solver of ordinary differential equations, and the probability-flow ODE sampled with it.
//
//   OdeResult y = dormand_prince([](double t, const Tensor& y) { return y * -t; }, y_0, 0, 1, {.rtol = 1e-6});
//   Tensor images = probability_flow_sample(denoiser, x, {.sigma_max = 80, .sigma_min = 0.002});
//
// Dormand & Prince 1980, RK5(4): seven stages, the last of which is the next step's first; the fourth-order result
// beside the fifth-order one estimates the error of a step. A step is taken when for every row of y (N, ...) the root
// mean square of error / (atol + rtol max(|y|, |y_new|)) is at most 1, so the worst row of a batch sets the pace: for
// bits that do not depend on the batch, solve row by row.
#pragma once

#include <functional>

#include "diffusion/samplers/sigma_denoiser.h"

namespace sfumato {

struct OdeOptions {
  double rtol = 1e-5;
  double atol = 1e-5;
  int64_t max_steps = 100000;  // accepted and rejected ones; more throw
};

struct OdeResult {
  Tensor y;
  int64_t accepted = 0, rejected = 0, evaluations = 0;
};

// y at t_end, from y at t_start; t_end may lie on either side.
OdeResult dormand_prince(const std::function<Tensor(double t, const Tensor& y)>& derivative,
                         const Tensor& y,
                         double t_start,
                         double t_end,
                         const OdeOptions& options = {});

struct ProbabilityFlowOptions {
  double sigma_max = 80;
  double sigma_min = 0.002;
  OdeOptions ode = {};
  bool to_zero = true;  // end with D at sigma_min; else x is left at sigma_min
};

// dx / d ln sigma = x - D(x; sigma) from sigma_max, where x is, to sigma_min.
Tensor probability_flow_sample(const SigmaDenoiser& denoiser,
                               const Tensor& x,
                               const ProbabilityFlowOptions& options = {});

}  // namespace sfumato
