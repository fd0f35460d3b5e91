// The variational bound of Ho et al. 2020 (equation 5), term by term, in nats:
//
//   -log p(x_0) <= L_T + sum_{t=2}^T L_{t-1} + L_0
//   L_T = KL(q(x_T | x_0) || N(0, I)),  L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)),  L_0 = -log p(x_0 |
//   x_1)
//
//   RandomScope scope({.seed = 1});
//   VlbLedger ledger = variational_bound(denoiser, schedule, x0, {.variance = VarianceType::fixed_large});
//   bits_per_dim(ledger.total(), 3 * 32 * 32);
//
// Terms are indexed by the schedule's t = 0..T-1: term t belongs to the step from x_t, so term 0 is the papers' L_0.
#pragma once

#include <vector>

#include "diffusion/samplers/ancestral.h"

namespace sfumato {

enum class VlbDecoder {
  discretized,  // x_0 are 8-bit pixels in [-1, 1]: the probability of their bins
  continuous,   // a density
};

struct VlbOptions {
  PredictionOptions prediction = {};
  VarianceType variance = VarianceType::fixed_small;
  VlbDecoder decoder = VlbDecoder::discretized;
};

// L_T of each image, (N): 1/2 sum [A_T x_0² - A_T - ln(1 - A_T)] over its pixels.
Tensor vlb_prior_term(const NoiseSchedule& schedule, const Tensor& x0);
// Term t of each image, (N), at x_t = sqrt(A_t) x_0 + sqrt(1 - A_t) noise. For t >= 1, with g² the model's variance,
// 1/2 sum [ln(g² / beta~) + (beta~ + |difference of means|²) / g² - 1].
Tensor vlb_term(const Denoiser& denoiser,
                const NoiseSchedule& schedule,
                const Tensor& x0,
                int64_t t,
                const Tensor& noise,
                const VlbOptions& options = {});

// Of each image, (N): term t, and the mean squared error per pixel of the x_0 that is predicted from x_t.
struct VlbTerm {
  Tensor nats, distortion;
};
// At noise from the RandomScope's seed and samples: a function of (seed, t, index of the image).
VlbTerm vlb_term_drawn(const Denoiser& denoiser,
                       const NoiseSchedule& schedule,
                       const Tensor& x0,
                       int64_t t,
                       const VlbOptions& options = {});

// Means over images.
struct VlbLedger {
  double prior = 0;                // L_T
  std::vector<double> terms;       // terms[t], t = 0..T-1
  std::vector<double> distortion;  // mean squared error per pixel of the x_0 that is predicted from x_t
  double total() const;
  // What describes x_t: L_T and all terms above t. Against distortion[t] it is Ho et al.'s rate-distortion curve.
  double rate(int64_t t) const;
};

// Every term on the images x_0 (N, ...), with one noise for each image and t, from the RandomScope's seed.
VlbLedger variational_bound(const Denoiser& denoiser,
                            const NoiseSchedule& schedule,
                            const Tensor& x0,
                            const VlbOptions& options = {});

// The same in closed form for data N(m, s²) in one dimension, the optimal denoiser and the continuous decoder. With
// v_t = A_t s² + 1 - A_t and tau_t = beta_t v_{t-1} / v_t: term t is 1/2 [ln(g² / beta~) + tau_t / g² - 1]. `learned`
// stands for the optimal variance g² = tau_t; the terms then add up to the data's entropy and KL(q(x_T) || N(0, 1)).
VlbLedger gaussian_variational_bound(const NoiseSchedule& schedule,
                                     double mean,
                                     double variance,
                                     VarianceType model_variance);

}  // namespace sfumato
