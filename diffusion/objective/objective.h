// The training objective of Algorithm 1 (Ho et al. 2020): what the network is asked for, and how much each sample
// counts.
//
//   Tensor x_t = q_sample(schedule, x0, t, noise);
//   Tensor target = training_target(schedule, PredictionType::epsilon, x0, noise, t);
//   Tensor weight = loss_weights(schedule, PredictionType::epsilon, t, {});       // all 1: L_simple
//   // loss = mean over samples of weight * mean((network(x_t, t) - target)²)
#pragma once

#include "diffusion/process/prediction.h"
#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

// The quantity that a network of the given type should output at x_t: noise, x0, or v = s noise - n x0. Images (N,
// ...), t (N) i64 or i32.
Tensor training_target(
    const NoiseSchedule& schedule, PredictionType type, const Tensor& x0, const Tensor& noise, const Tensor& t);

struct LossWeighting {
  // 0: every sample counts 1, the simple loss (Ho et al. 2020, equation 14). Positive: min-SNR weighting with this
  // gamma (Hang et al. 2023; 5 is the paper's choice).
  double min_snr_gamma = 0;
};

// One weight per sample, (N) in `dtype`, of the squared error of a network of the given type. Min-SNR weighs the error
// in x_0 with min(SNR, gamma); since |x_0 error|² = |eps error|² / SNR = |v error|² / (SNR + 1), that is
//
//   sample: min(SNR, gamma)    epsilon: min(SNR, gamma) / SNR    v_prediction: min(SNR, gamma) / (SNR + 1)
Tensor loss_weights(const NoiseSchedule& schedule,
                    PredictionType type,
                    const Tensor& t,
                    const LossWeighting& weighting,
                    DType dtype = DType::f32);

}  // namespace sfumato
