// Power-function averages of weights (Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion
// models", section 3): profiles that keep their shape as training goes on, so that any other width can be put together
// afterwards from a few snapshots.
//
//   lerp_(average, parameters, 1 - power_ema_decay(t, gamma));            // update number t = 1, 2, ...
//   auto weights = post_hoc_weights(snapshots, {.t = 1000, .gamma = power_ema_gamma(0.12)});
//
// The average at time t is the integral of f(u) theta(u) over [0, t], f(u) = (gamma + 1) u^gamma / t^(gamma + 1), a
// bump of relative width sigma_rel = sqrt((gamma + 1) / ((gamma + 2)² (gamma + 3))).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace sfumato {

// (1 - 1/t)^(gamma + 1): the decay of update t = 1, 2, ...; the first takes the parameters as they are.
double power_ema_decay(int64_t t, double gamma);

double power_ema_sigma_rel(double gamma);
// The inverse, for 0 < sigma_rel < 0.288 (gamma > 0).
double power_ema_gamma(double sigma_rel);

// An average taken up to time t.
struct PowerProfile {
  double t;
  double gamma;
};

// The weights w for which sum_i w_i f_i is nearest to the wanted profile in mean square: they turn the snapshots'
// averages into (nearly) the one that was wanted. Snapshots must differ.
std::vector<double> post_hoc_weights(std::span<const PowerProfile> snapshots, const PowerProfile& wanted);

}  // namespace sfumato
