// The likelihood of an image under the probability-flow ODE (Song et al. 2021, section 4.3), by change of variables.
//
//   Tensor nats = ode_log_likelihood(differentiable(oracle), x, {.sigma_min = 0.002, .sigma_max = 80});    // (N)
//
// Along dx / d ln sigma = x - D(x; sigma),
//
//   log q(x at sigma_min) = log q(x at sigma_max) + integral of (D - tr dD/dx) d ln sigma     (D: the dimension)
//
// so the answer is the density of data with noise sigma_min on them.
#pragma once

#include "diffusion/likelihood/divergence.h"
#include "diffusion/samplers/ode.h"

namespace sfumato {

struct OdeLikelihoodOptions {
  double sigma_min = 0.002;
  double sigma_max = 80;
  OdeOptions ode = {};
  int64_t probes = 0;  // Hutchinson probes, the same ones along the whole path; 0: the exact trace
  ProbeKind probe_kind = ProbeKind::rademacher;
  // log density of x at sigma_max, (N); empty: N(0, sigma_max² I).
  std::function<Tensor(const Tensor& x)> prior_log_density = {};
};

// log N(x; 0, stddev² I) of each row of x (N, ...).
Tensor normal_log_density(const Tensor& x, double stddev);

// log density in nats of each row of x (N, ...), in x's dtype. Probes come from the RandomScope in force.
Tensor ode_log_likelihood(const DifferentiableDenoiser& denoiser,
                          const Tensor& x,
                          const OdeLikelihoodOptions& options = {});

}  // namespace sfumato
