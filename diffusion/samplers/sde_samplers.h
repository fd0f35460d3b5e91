// Samplers of the reverse SDE (Song et al. 2021, "Score-based generative modeling through SDEs", section 4).
//
//   LinearSde sde = vp_sde();
//   Tensor x_T = initial_noise({16, 3, 32, 32}, seed) * sde.prior_stddev;
//   Tensor images = predictor_corrector_sample(score_of(denoiser, sde), sde, x_T, even_times(1000), {.snr = 0.16});
//
// With z standard noise, s the score and times falling from 1 to a small positive t:
//
//   Euler-Maruyama     x' = x + (f x - g² s)(t' - t) + g sqrt(t - t') z
//   reverse diffusion  x' = (2 - k) x + n² s + n z,  k and n of the exact transition from t' to t (equation 46)
//   Langevin           x <- x + e s + sqrt(2 e) z,  e = 2 k² (snr |z| / |s|)²  (algorithms 4 and 5)
//
// The last step adds no noise, as in the paper's code. |z| and |s| are each image's own, so that an image does not
// depend on its batch.
#pragma once

#include <functional>
#include <vector>

#include "diffusion/process/sde.h"
#include "diffusion/samplers/sigma_denoiser.h"

namespace sfumato {

// grad log q(x_t) for x (N, ...) at one time t of an SDE.
using Score = std::function<Tensor(const Tensor& x, double t)>;

// A denoiser as the score of any SDE: (a D(x/a; b/a) - x) / b².
Score score_of(const SigmaDenoiser& denoiser, const LinearSde& sde);

// steps + 1 times in even steps from 1 to `end`.
std::vector<double> even_times(int64_t steps, double end = 1e-3);

// One finished step, for callbacks: x0 is what the score at (x, t) says, (x + b² s) / a.
struct SdeStep {
  int64_t index;  // 0..steps-1
  int64_t steps;
  double t, t_next;
  Tensor x, x0, x_next;
};

struct SdeOptions {
  NoiseSource noise = {};    // empty: step_noise of the RandomScope in force
  bool denoise_last = true;  // leave out the last step's noise
  std::function<void(const SdeStep&)> on_step = {};
};

Tensor euler_maruyama_sample(const Score& score,
                             const LinearSde& sde,
                             const Tensor& x_T,
                             std::span<const double> times,
                             const SdeOptions& options = {});
Tensor reverse_diffusion_sample(const Score& score,
                                const LinearSde& sde,
                                const Tensor& x_T,
                                std::span<const double> times,
                                const SdeOptions& options = {});

struct PredictorCorrectorOptions {
  double snr = 0.16;            // r of algorithms 4 and 5
  int64_t corrector_steps = 1;  // Langevin steps before each predictor step
  // Whether e follows |z| and |s| of each image, as in the paper, or their usual ratio, the level's own noise b: e = 2
  // k² (snr b)², as in Song & Ermon 2019. In few dimensions 1 / |s|² has a heavy tail, which widens what is drawn.
  bool by_norms = true;
  NoiseSource noise = {};  // counts all noises: of each step the corrector's, then the predictor's
  bool denoise_last = true;
  std::function<void(const SdeStep&)> on_step = {};
};

// Reverse diffusion, corrected by Langevin steps at each time.
Tensor predictor_corrector_sample(const Score& score,
                                  const LinearSde& sde,
                                  const Tensor& x_T,
                                  std::span<const double> times,
                                  const PredictorCorrectorOptions& options = {});

}  // namespace sfumato
