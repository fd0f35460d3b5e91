// PLMS, the pseudo linear multistep method (Liu et al. 2022, "Pseudo numerical methods for diffusion models on
// manifolds", called PNDM there; the start is Stable Diffusion's): a DDIM step with an eps averaged over the last four.
//
//   Tensor images = plms_sample(denoiser, x, sigma_grid(table, {.steps = 50}));
//
//   eps' = (55 e_t - 59 e_{t+1} + 37 e_{t+2} - 9 e_{t+3}) / 24     (Adams-Bashforth; shorter at the start)
//   x_next = x + (sigma_next - sigma) eps'
//
// One evaluation a step, two in the first. It converges with order 2: the weights are those of evenly spaced times,
// which sigmas are not.
#pragma once

#include "diffusion/samplers/sigma_denoiser.h"

namespace sfumato {

struct PlmsOptions {
  SolverCallback on_step = {};  // may be empty
};

Tensor plms_sample(const SigmaDenoiser& denoiser,
                   const Tensor& x,
                   std::span<const double> sigmas,
                   const PlmsOptions& options = {});

}  // namespace sfumato
