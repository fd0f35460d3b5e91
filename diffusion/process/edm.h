// EDM's parameterisation (Karras et al. 2022, table 1): what a network is shown and asked for at noise level sigma, so
// that inputs and targets have variance 1 at every level.
//
//   Tensor F = network(x * c.in, c.noise);
//   Tensor x0 = x * c.skip + F * c.out;                 // D(x; sigma), c = edm_scaling(sigma)
//
//   skip = s² / (sigma² + s²)    out = sigma s / sqrt(sigma² + s²)    in = 1 / sqrt(sigma² + s²)    noise = ln(sigma) /
//   4
//
// with s = sigma_data, the data's standard deviation. The loss weight 1/out² makes the loss |F - target|².
#pragma once

#include "diffusion/samplers/sigma_denoiser.h"

namespace sfumato {

struct EdmScaling {
  double skip, out, in, noise;
  double weight;  // of the squared error of x_0: (sigma² + s²) / (sigma s)² = 1 / out²
};
// Throws unless both are positive.
EdmScaling edm_scaling(double sigma, double sigma_data = 0.5);

// What F should be for x = x_0 + sigma eps: (x_0 - skip x) / out.
Tensor edm_target(const Tensor& x0, const Tensor& x, double sigma, double sigma_data = 0.5);
// F that a given D stands for: the same with D's x_0.
Tensor edm_network_output(const SigmaDenoiser& denoiser, const Tensor& x, double sigma, double sigma_data = 0.5);
// The loss of Karras et al.'s equation 8 at one sigma, one number per image, (N): the mean of |F - target|² over an
// image's pixels, for x_0 + sigma noise.
Tensor edm_loss(
    const SigmaDenoiser& denoiser, const Tensor& x0, const Tensor& noise, double sigma, double sigma_data = 0.5);

// D from a network F(x, t) that is called with t = noise for each row.
SigmaDenoiser edm_denoiser(const Denoiser& network, double sigma_data = 0.5);

}  // namespace sfumato
