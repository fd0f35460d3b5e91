// Which of the T training timesteps a sampler visits, and which one it steps to from each of them.
//
//   auto grid = sampling_grid(1000, {.steps = 50}, PreviousStep::next_grid_point);
//   for (auto [t, previous] : grid) ...   // (980, 960), (960, 940), ..., (20, 0), (0, -1)
//
// Timesteps are 0-based indices (see noise_schedule.h); `previous` is -1 where the step ends in the clean image.
// Names, offsets and rounding are those of diffusers, after Lin et al. 2023 ("Common diffusion noise schedules and
// sample steps are flawed", table 2).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace sfumato {

// For T = 1000 and 3 steps:
enum class TimestepSpacing {
  leading,   // 666, 333, 0: multiples of floor(T / steps), plus steps_offset
  trailing,  // 999, 666, 332: back from T in equal strides, rounded, minus 1
  linspace,  // 999, 500, 0: both ends, rounded (halves to even)
};

// Where a step from t goes. Both rules agree when `steps` divides T and the spacing is leading; else they do not.
enum class PreviousStep {
  next_grid_point,  // the next timestep of the grid: diffusers' DDPM, and every derivation of a re-spaced sampler
  fixed_stride,     // t - floor(T / steps), whether or not the grid visits it: diffusers' DDIM
};

struct TimestepOptions {
  int64_t steps = 0;  // 1..T; 0 means T
  TimestepSpacing spacing = TimestepSpacing::leading;
  int64_t steps_offset = 0;  // added to each timestep of `leading` (Stable Diffusion uses 1)
};

struct GridStep {
  int64_t t;
  int64_t previous;  // -1: the clean image
  friend bool operator==(const GridStep&, const GridStep&) = default;
};

// The grid, from the noisiest timestep down. Throws unless 1 <= steps <= T and all timesteps lie in 0..T-1.
std::vector<int64_t> sampling_timesteps(int64_t num_train_timesteps, const TimestepOptions& options);
// The grid with the target of each step.
std::vector<GridStep> sampling_grid(int64_t num_train_timesteps, const TimestepOptions& options, PreviousStep rule);

// diffusers' names; parsing an unknown one throws.
std::string_view name_of(TimestepSpacing spacing);
TimestepSpacing parse_timestep_spacing(std::string_view name);

}  // namespace sfumato
