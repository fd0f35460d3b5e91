// Noising as a stochastic differential equation (Song et al. 2021, "Score-based generative modeling through SDEs"):
//
//   dx = f(t) x dt + g(t) dw,   0 <= t <= 1,   so that   x_t = a(t) x_0 + b(t) eps
//
//   LinearSde sde = vp_sde();                       // beta(t) from 0.1 to 20
//   NoiseLevel level = sde.level(0.5);              // a and b
//   Tensor drift = sde.reverse_drift(x, score, t);  // of the SDE that runs from noise to data
//
// Between two times the process is Gaussian again: x_t = (a_t/a_s) x_s + sqrt(b_t² - (a_t/a_s)² b_s²) eps, s < t. That
// exact transition is the discrete step of Ho et al. for vp_sde and of Song & Ermon 2019 for ve_sde.
#pragma once

#include <functional>
#include <string>

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

// A value; the functions take t in [0, 1].
struct LinearSde {
  std::string name;
  std::function<double(double t)> drift;      // f
  std::function<double(double t)> diffusion;  // g
  std::function<NoiseLevel(double t)> level;  // a and b
  double prior_stddev = 1;                    // of N(0, prior_stddev² I), where sampling starts; b(1) or nearly so

  // f x - share g² score: with share 1 the drift of the reverse SDE, with 1/2 that of the probability-flow ODE, which
  // has the same marginals without noise.
  Tensor reverse_drift(const Tensor& x, const Tensor& score, double t, double share = 1) const;
  // The weight of x_s in x_t and the noise's deviation, 0 <= s <= t <= 1.
  NoiseLevel transition(double s, double t) const;
};

// Variance preserving: f = -beta/2, g = sqrt(beta), beta(t) = beta_min + t (beta_max - beta_min); a² + b² = 1. The
// limit of Ho et al.'s schedule with T betas beta(t)/T.
LinearSde vp_sde(double beta_min = 0.1, double beta_max = 20);
// f = -beta/2, g² = beta (1 - e^(-2B)), B = integral_0^t beta; a = e^(-B/2), b = 1 - e^(-B): variance below vp_sde's.
LinearSde sub_vp_sde(double beta_min = 0.1, double beta_max = 20);
// Variance exploding: f = 0, a = 1, b = sigma_min ((sigma_max/sigma_min)^(2t) - 1)^(1/2), which is nearly sigma(t) =
// sigma_min (sigma_max/sigma_min)^t, the paper's own label for it; g = sigma(t) sqrt(2 ln(sigma_max/sigma_min)).
LinearSde ve_sde(double sigma_min = 0.01, double sigma_max = 50);
// EDM's (Karras et al. 2022): sigma(t) = t, scaled by sigma_max to end at t = 1: a = 1, b = sigma_max t, g = sigma_max
// sqrt(2 t).
LinearSde edm_sde(double sigma_max = 80);

}  // namespace sfumato
