// Networks as samplers want them: denoisers of x_t and t alone, with the class and the guidance put in beforehand.
//
//   Denoiser plain = denoiser_of(network);                                        // a network without classes
//   Denoiser sneakers = denoiser_of(network, labels);                             // labels (N), one for each row of
//   x_t Denoiser surer = guided(network, labels, /*null_label=*/10, /*scale=*/3); Tensor images = ddim_sample(surer,
//   schedule, x_T, {...});
//
// Classifier-free guidance (Ho & Salimans 2022): with the predictions u = network(x_t, t, no class) and c =
// network(x_t, t, class), the guided one is
//
//   u + scale (c - u)
//
// `scale` is diffusers' guidance_scale: 0 ignores the class, 1 is the plain conditional prediction, more exaggerates
// what distinguishes the class (the paper's w is scale - 1). Noise, x_0 and v are affine in one another for a given
// x_t, so it does not matter which of them is predicted. Of a network that also predicts a variance (2 C channels out
// for C in) the first C are guided, and the variance is that of the class.
#pragma once

#include "diffusion/model/network.h"
#include "diffusion/samplers/denoiser.h"

namespace sfumato {

// Evaluated without recording. The network must outlive the denoiser.
Denoiser denoiser_of(const DenoisingNetwork& network, const Tensor& labels = {});

// Of any two denoisers, closed-form ones too. With scale 1 the second is not called, with 0 the first is not.
Denoiser guided(Denoiser conditional, Denoiser unconditional, double scale);
// The same network for both: `null_label` is the label that it was trained to take for "no class".
Denoiser guided(const DenoisingNetwork& network, const Tensor& labels, int64_t null_label, double scale);

}  // namespace sfumato
