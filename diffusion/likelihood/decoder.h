// From densities to bits: the probability of an 8-bit pixel under a Gaussian, and nats to bits per dimension.
//
//   Tensor log_p = discretized_gaussian_log_likelihood(x0, mean, variance);      // per pixel, nats
//   double bpd = bits_per_dim(nats_of_an_image, 3 * 32 * 32);
#pragma once

#include "tensor/tensor.h"

namespace sfumato {

// Ho et al. 2020, equation 13: the mass of N(mean, variance) between x - 1/255 and x + 1/255, where x is an 8-bit pixel
// scaled to [-1, 1]; the lowest bin reaches to minus infinity and the highest to infinity, so the 256 sum to 1.
// Computed from logarithms of erfc, so far tails keep their digits. x and mean have one shape, variance broadcasts.
Tensor discretized_gaussian_log_likelihood(const Tensor& x, const Tensor& mean, const Tensor& variance);

// log erfc(z) without underflow.
double log_erfc(double z);

// Bits per dimension of `nats` for one image of `dims` numbers. `scale` is the number of 8-bit steps in one unit of the
// data where nats come from a density: 127.5 for pixels in [-1, 1] with Ho et al.'s bins, 128 for (x + u)/128 - 1
// dequantisation; 1 where they come from a probability, as from the discretised decoder.
double bits_per_dim(double nats, int64_t dims, double scale = 1);

}  // namespace sfumato
