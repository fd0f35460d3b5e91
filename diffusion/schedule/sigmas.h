// Noise levels as one number, sigma = noise / signal: the standard deviation of the noise on an image that keeps its
// size. ODE solvers walk down a list of them (Karras et al. 2022, "Elucidating the design space ...", called EDM
// below).
//
//   auto sigmas = karras_sigmas(18, 0.002, 80);                       // 18 levels and the end, 0
//   SigmaTable table(linear_schedule(1000));
//   auto grid = sigma_grid(table, {.steps = 20, .spacing = SigmaSpacing::trailing});
//   table.time(grid[3]);                                              // where a network trained on the schedule is
//   there
//
// A discrete schedule has sigma_t = sqrt((1 - A_t) / A_t) at t = 0..T-1; between them, this table interpolates.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "diffusion/schedule/noise_schedule.h"
#include "diffusion/schedule/timesteps.h"

namespace sfumato {

// EDM's equation 5: sigma_i = (max^(1/rho) + i/(n-1) (min^(1/rho) - max^(1/rho)))^rho for i = 0..n-1, and a last 0
// where to_zero. Small steps where sigma is small.
std::vector<double> karras_sigmas(
    int64_t count, double sigma_min, double sigma_max, double rho = 7, bool to_zero = true);
// Even steps of ln sigma, from sigma_max to sigma_min, both included.
std::vector<double> geometric_sigmas(int64_t count, double sigma_min, double sigma_max);

enum class SigmaInterpolation {
  log_linear,  // ln sigma is linear between two timesteps
  linear,      // sigma is: diffusers' Euler and Heun
};

// sigma as a function of a timestep that need not be whole, and back.
class SigmaTable {
 public:
  // Where a schedule ends without signal, sigma would be infinite: A = 2^-24 stands for 0 there, as in diffusers. (The
  // level before it can be higher: 15406 against 4096 for Ho et al.'s schedule with rescale_betas_zero_snr.)
  explicit SigmaTable(const NoiseSchedule& schedule, SigmaInterpolation interpolation = SigmaInterpolation::log_linear);

  // t in [0, T-1].
  double sigma(double t) const;
  // The inverse; levels beyond the ends have the ends' times.
  double time(double sigma) const;
  int64_t num_timesteps() const { return static_cast<int64_t>(sigmas_.size()); }

 private:
  std::vector<double> sigmas_;
  SigmaInterpolation interpolation_;
};

enum class SigmaSpacing { leading, trailing, linspace, karras };

struct SigmaGridOptions {
  int64_t steps = 0;  // 1..T; 0 means T
  SigmaSpacing spacing = SigmaSpacing::linspace;
  int64_t steps_offset = 0;  // of leading
  // linspace and leading put one level more than there are steps and leave out the lowest, t = 0 (diffusers' multistep
  // solver); else the grid's last level may be t = 0 itself (diffusers' Euler and Heun).
  bool leave_out_lowest = false;
  bool whole_timesteps = true;  // linspace: round timesteps (halves to even); else their sigma is interpolated
  double rho = 7;               // of karras, which goes from the schedule's largest sigma to its smallest
  bool to_zero = true;          // end in the clean image
};

// steps levels from the noisiest down, and a last 0 where to_zero.
std::vector<double> sigma_grid(const SigmaTable& table, const SigmaGridOptions& options);

std::string_view name_of(SigmaSpacing spacing);
// Throws for an unknown name.
SigmaSpacing parse_sigma_spacing(std::string_view name);

}  // namespace sfumato
