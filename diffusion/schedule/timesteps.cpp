#include "diffusion/schedule/timesteps.h"

#include <algorithm>
#include <cmath>

#include "tensor/check.h"

namespace sfumato {

namespace {

int64_t resolve_steps(int64_t num_train_timesteps, int64_t steps) {
  check(steps >= 0 && steps <= num_train_timesteps, "sampling timesteps: steps must lie in 1..", num_train_timesteps,
        " (the number of training timesteps), got ", steps);
  return steps == 0 ? num_train_timesteps : steps;
}

// nearbyint rounds halves to even, as numpy does.
int64_t rounded(double x) { return static_cast<int64_t>(std::nearbyint(x)); }

}  // namespace

std::vector<int64_t> sampling_timesteps(int64_t num_train_timesteps, const TimestepOptions& options) {
  const int64_t steps = resolve_steps(num_train_timesteps, options.steps);
  const double total = static_cast<double>(num_train_timesteps), count = static_cast<double>(steps);
  std::vector<int64_t> timesteps;
  for (int64_t i = 0; i < steps; ++i) {
    const double from_end = static_cast<double>(steps - 1 - i);
    switch (options.spacing) {
      case TimestepSpacing::leading:
        timesteps.push_back((steps - 1 - i) * (num_train_timesteps / steps) + options.steps_offset);
        break;
      case TimestepSpacing::trailing: {
        // numpy.arange(T, 0, -T / steps) takes the difference of its first two entries as the stride; so do we, that
        // exact halves round to the same side.
        const double stride = (total - total / count) - total;
        timesteps.push_back(rounded(total + static_cast<double>(i) * stride) - 1);
        break;
      }
      case TimestepSpacing::linspace:
        timesteps.push_back(i == 0 && steps > 1 ? num_train_timesteps - 1
                                                : rounded(from_end * ((total - 1) / std::max(count - 1, 1.0))));
        break;
    }
  }
  for (const int64_t t : timesteps) {
    check(t >= 0 && t < num_train_timesteps, "sampling timesteps: steps_offset ", options.steps_offset,
          " puts timestep ", t, " outside 0..", num_train_timesteps - 1);
  }
  return timesteps;
}

std::vector<GridStep> sampling_grid(int64_t num_train_timesteps, const TimestepOptions& options, PreviousStep rule) {
  const auto timesteps = sampling_timesteps(num_train_timesteps, options);
  const int64_t stride = num_train_timesteps / static_cast<int64_t>(timesteps.size());
  std::vector<GridStep> grid;
  for (size_t i = 0; i < timesteps.size(); ++i) {
    const int64_t t = timesteps[i];
    const int64_t next = i + 1 < timesteps.size() ? timesteps[i + 1] : -1;
    grid.push_back({t, rule == PreviousStep::next_grid_point ? next : std::max<int64_t>(t - stride, -1)});
  }
  return grid;
}

std::string_view name_of(TimestepSpacing spacing) {
  switch (spacing) {
    case TimestepSpacing::leading: return "leading";
    case TimestepSpacing::trailing: return "trailing";
    case TimestepSpacing::linspace: return "linspace";
  }
  return "?";
}

TimestepSpacing parse_timestep_spacing(std::string_view name) {
  for (const auto spacing : {TimestepSpacing::leading, TimestepSpacing::trailing, TimestepSpacing::linspace}) {
    if (name == name_of(spacing)) return spacing;
  }
  detail::fail("timestep_spacing: unknown value \"", name, "\" (leading, trailing and linspace are supported)");
}

}  // namespace sfumato
