// What samplers are made from: a denoiser, a source of noise, and a callback for those who watch. A sampler is a free
// function over these, so it runs alike on a network, on a guided network and on a closed-form oracle.
//
//   Denoiser network = [&](const Tensor& x_t, const Tensor& t) { return unet(x_t, t).tensor(); };
//   Tensor x_T = initial_noise({16, 3, 32, 32}, /*seed=*/1);
//   Tensor images = ancestral_sample(network, schedule, x_T, {.noise = step_noise(/*seed=*/1)});
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "diffusion/process/prediction.h"
#include "tensor/tensor.h"

namespace sfumato {

// The raw output of a network for noisy images x_t (N, ...) at times t (N) f32: 0-based training indices 0..T-1, whole
// numbers in discrete samplers. The output has x_t's shape and dtype; what it means is PredictionOptions::type. A
// network that also learned its variance has (N, 2C, ...) where x_t is (N, C, ...): the prediction, then the variance.
using Denoiser = std::function<Tensor(const Tensor& x_t, const Tensor& t)>;

// Standard normal noise of the given shape for step 0, 1, ... of a sampler.
using NoiseSource = std::function<Tensor(int64_t step_index, const Shape& shape)>;

// What a network's output means, and what is done to the x_0 that follows from it: clipped to [-range, range], or
// thresholded (which goes before clipping).
struct PredictionOptions {
  PredictionType type = PredictionType::epsilon;
  bool clip_sample = false;
  double clip_sample_range = 1;
  // Dynamic thresholding (Saharia et al. 2022, section 2.3): with s the quantile `ratio` of |x_0| within each sample,
  // kept in [1, sample_max_value], x_0 becomes clamp(x_0, -s, s) / s.
  bool thresholding = false;
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1;
};

// One finished step, for callbacks: from x_t at timestep t, through the predicted (and clipped) x_0, to x_previous.
struct SamplerStep {
  int64_t index;  // 0..steps-1
  int64_t steps;
  int64_t t;  // 0-based
  Tensor x_t, x0, x_previous;
};
using StepCallback = std::function<void(const SamplerStep&)>;

// Noise that depends on (seed, step index, global index of the image) alone: image `first_sample + n` of seed s is the
// same in every batch that contains it. Rows of a batch are images first_sample, first_sample + 1, ...
NoiseSource step_noise(uint64_t seed, int64_t first_sample = 0, DType dtype = DType::f32);
// The start x_T of the same images; a stream of its own.
Tensor initial_noise(const Shape& shape, uint64_t seed, int64_t first_sample = 0, DType dtype = DType::f32);

// For writers of samplers --------------------------------------------------------------------------------------------

// An output in its two halves; `variance` is undefined when the network has no such half.
struct DenoiserOutput {
  Tensor prediction;
  Tensor variance;
};
// Calls the denoiser with t repeated for each sample; throws naming `sampler` when the output's shape or dtype does not
// fit x's.
DenoiserOutput call_denoiser(std::string_view sampler, const Denoiser& denoiser, const Tensor& x_t, double t);
// The noise of a step in x's dtype; an empty source means step_noise of the RandomScope in force. Checks the shape.
Tensor draw_noise(std::string_view sampler, const NoiseSource& source, int64_t step_index, const Tensor& x);
// The x_0 that a prediction means, thresholded or clipped if the options say so.
Tensor predicted_x0(const PredictionOptions& options, const Tensor& output, const Tensor& x_t, const NoiseLevel& level);

}  // namespace sfumato
