// Noise schedules: how much noise each step of the forward process adds (Ho et al. 2020, section 2).
//
//   NoiseSchedule schedule = linear_schedule(1000);          // Ho et al.: beta from 1e-4 to 0.02
//   schedule.alpha_cumprod(999);                             // 4.0358e-5: almost no signal is left
//   NoiseLevel level = schedule.level(t);                    // x_t = level.signal x_0 + level.noise eps
//
// q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I), alpha_t = 1 - beta_t, A_t = alpha_1 ... alpha_t, hence
// q(x_t | x_0) = N(sqrt(A_t) x_0, (1 - A_t) I).
//
// Indices. The papers count t = 1..T. Code, checkpoints and networks count 0..T-1: index 0 here is the papers' t = 1,
// everywhere in this package. Index -1 is the clean image: A = 1.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tensor/check.h"

namespace sfumato {

// How x_t is mixed: x_t = signal x_0 + noise eps. A schedule's levels have signal² + noise² = 1; those of the
// continuous processes in process/sde.h may have other sums.
struct NoiseLevel {
  double signal = 1;
  double noise = 0;
};

// The arithmetic in which the tables, and the coefficients made from them, are computed. f64 is exact for every
// purpose. f32 repeats PyTorch and diffusers bit for bit: 1 - A_t loses most of its f32 digits near t = 0, so the same
// formula in f64 would differ visibly.
enum class TablePrecision { f64, f32 };

// Calls f.operator()<double>() or <float>(): formulas are written once over `Real` and take the tables' precision.
template <class F>
decltype(auto) dispatch_precision(TablePrecision precision, F&& f) {
  return precision == TablePrecision::f64 ? f.template operator()<double>() : f.template operator()<float>();
}

// The fields of a scheduler's configuration that fix its betas, named as in diffusers.
struct ScheduleConfig {
  int64_t num_train_timesteps = 1000;
  double beta_start = 1e-4;
  double beta_end = 0.02;
  std::string beta_schedule = "linear";    // or "scaled_linear", "squaredcos_cap_v2", "sigmoid"
  std::vector<double> trained_betas = {};  // not empty: the betas themselves; the fields above are not used
  bool rescale_betas_zero_snr = false;     // see zero_terminal_snr()
};

// An immutable value: betas and what follows from them, by 0-based index t.
class NoiseSchedule {
 public:
  // Throws unless there are 1 to 1,000,000 betas and all lie in (0, 1); the last one may be 1.
  NoiseSchedule(std::string name, std::vector<double> betas, TablePrecision precision = TablePrecision::f64);

  const std::string& name() const { return name_; }
  TablePrecision precision() const { return precision_; }
  int64_t num_timesteps() const { return static_cast<int64_t>(betas_.size()); }

  const std::vector<double>& betas() const { return betas_; }
  const std::vector<double>& alphas() const { return alphas_; }
  const std::vector<double>& alphas_cumprod() const { return alphas_cumprod_; }

  // 0 <= t < num_timesteps(), or Error; alpha_cumprod() and level() also take -1.
  double beta(int64_t t) const { return betas_[checked(t)]; }
  double alpha(int64_t t) const { return alphas_[checked(t)]; }
  double alpha_cumprod(int64_t t) const { return t == -1 ? 1.0 : alphas_cumprod_[checked(t)]; }
  // sqrt(A_t) and sqrt(1 - A_t).
  NoiseLevel level(int64_t t) const;
  // Signal to noise: A_t / (1 - A_t).
  double snr(int64_t t) const;
  // The variance of q(x_{t-1} | x_t, x_0): beta~_t = beta_t (1 - A_{t-1}) / (1 - A_t); 0 at t = 0.
  double posterior_variance(int64_t t) const;

  // The schedule that visits only `timesteps` (ascending): the same A at each of them, so its betas are
  // 1 - A_{tau_i} / A_{tau_{i-1}} (Nichol & Dhariwal 2021, section 4).
  NoiseSchedule respaced(std::span<const int64_t> timesteps) const;

 private:
  size_t checked(int64_t t) const {
    check(t >= 0 && t < num_timesteps(), "noise schedule: timestep ", t, " is outside 0..", num_timesteps() - 1);
    return static_cast<size_t>(t);
  }

  std::string name_;
  TablePrecision precision_;
  std::vector<double> betas_, alphas_, alphas_cumprod_;
};

// beta from beta_start to beta_end in equal steps (Ho et al. 2020).
NoiseSchedule linear_schedule(int64_t num_timesteps,
                              double beta_start = 1e-4,
                              double beta_end = 0.02,
                              TablePrecision precision = TablePrecision::f64);
// sqrt(beta) in equal steps (Rombach et al. 2022).
NoiseSchedule scaled_linear_schedule(int64_t num_timesteps,
                                     double beta_start = 0.00085,
                                     double beta_end = 0.012,
                                     TablePrecision precision = TablePrecision::f64);
// A(u) = cos²((u + 0.008) / 1.008 · pi/2) at u = t/T, beta capped at max_beta (Nichol & Dhariwal 2021, section 3.2).
NoiseSchedule cosine_schedule(int64_t num_timesteps,
                              double max_beta = 0.999,
                              TablePrecision precision = TablePrecision::f64);

// beta_start + (beta_end - beta_start) sigmoid(u), u from -6 to 6 in equal steps.
NoiseSchedule sigmoid_schedule(int64_t num_timesteps,
                               double beta_start = 1e-4,
                               double beta_end = 0.02,
                               TablePrecision precision = TablePrecision::f64);
// The same schedule with sqrt(A) shifted and scaled so that its first value stays and its last becomes 0: x_T is then
// noise alone (Lin et al. 2023, algorithm 1).
NoiseSchedule zero_terminal_snr(const NoiseSchedule& schedule);

// beta_t = 1 / (T - t + 1), the papers' t: a straight line A_t = (T - t)/T that ends without any signal
// (Sohl-Dickstein et al. 2015, section 2.4.1, for binomial data).
NoiseSchedule harmonic_schedule(int64_t num_timesteps);

// The schedule that a configuration describes; throws naming an unknown beta_schedule.
NoiseSchedule make_schedule(const ScheduleConfig& config, TablePrecision precision = TablePrecision::f64);

}  // namespace sfumato
