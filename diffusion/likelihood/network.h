// Networks as likelihoods want them: everything around the network in f64, and its divergence by a backward pass.
//
//   VlbLedger ledger = variational_bound(wide_denoiser(*pipeline.network), schedule, x0, options);
//   Tensor nats = ode_log_likelihood(differentiable(*pipeline.network, schedule, prediction), x0, {.probes = 1});
//
// A bound adds up a thousand small terms and an ODE solver compares steps of two orders; in f32 both would measure
// rounding. The network itself computes in the dtype of its weights.
#pragma once

#include "diffusion/likelihood/divergence.h"
#include "diffusion/model/network.h"

namespace sfumato {

// Takes and returns f64. The network must outlive it.
Denoiser wide_denoiser(const DenoisingNetwork& network, const Tensor& labels = {});

// D(x; sigma) of a network trained on a variance-preserving schedule, as sigma_denoiser() has it, with v^T dD/dx.
DifferentiableDenoiser differentiable(const DenoisingNetwork& network,
                                      const NoiseSchedule& schedule,
                                      const PredictionOptions& prediction,
                                      const Tensor& labels = {});

}  // namespace sfumato
