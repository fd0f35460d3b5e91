#include "diffusion/plot/densities.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "diffusion/process/trajectory.h"

namespace sfumato::plot {
namespace {

constexpr int64_t kCurvePoints = 601, kMapRows = 480, kMapColumns = 640;
constexpr double kReach = 3.5;  // standard deviations

NoiseLevel level_at(const NoiseSchedule& schedule, int64_t t) {
  check(t >= 0 && t <= schedule.num_timesteps(), "densities: t = ", t, " is outside 0..", schedule.num_timesteps());
  return schedule.level(t - 1);
}

Panel curves_panel(const GaussianMixture& data, const NoiseSchedule& schedule, std::span<const int64_t> times) {
  const std::vector<double> x = density_places(data, kCurvePoints);
  const std::vector<double> values = diffused_densities(data, schedule, times, x).to_vector();
  Panel panel;
  panel.x.label = "x";
  panel.y.label = "q(xₜ)";
  panel.x.range = {x.front(), x.back()};
  for (size_t k = 0; k < times.size(); ++k) {
    const double u = times.size() > 1 ? static_cast<double>(k) / static_cast<double>(times.size() - 1) : 0.0;
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(k * x.size());
    const std::vector<double> y(begin, begin + static_cast<std::ptrdiff_t>(x.size()));
    panel.marks.emplace_back(Area{.x = x, .y = y, .color = with_alpha(ordered_color(u), 0.07)});
    panel.marks.emplace_back(Line{.x = x, .y = y, .color = ordered_color(u), .label = fmt::format("t = {}", times[k])});
  }
  return panel;
}

// Times of the map's columns: all, or evenly chosen ones.
std::vector<int64_t> map_times(int64_t last) {
  const int64_t count = std::min(last + 1, kMapColumns);
  std::vector<int64_t> times;
  for (int64_t i = 0; i < count; ++i) {
    times.push_back(std::lround(static_cast<double>(i) * static_cast<double>(last) / static_cast<double>(count - 1)));
  }
  return times;
}

HeatMap heat_map(const GaussianMixture& data, const NoiseSchedule& schedule) {
  const int64_t last = schedule.num_timesteps();
  const std::vector<int64_t> times = map_times(last);
  const std::vector<double> x = density_places(data, kMapRows);
  const Tensor by_time = diffused_densities(data, schedule, times, x);
  HeatMap map{.values = Tensor::empty({by_time.size(1), by_time.size(0)}, DType::f64), .label = "q(xₜ)"};
  const double* from = by_time.data<double>();
  double* to = map.values.mutable_data<double>();
  map.high = 0;
  for (int64_t column = 0; column < by_time.size(0); ++column) {
    for (int64_t row = 0; row < by_time.size(1); ++row) {
      const double value = *from++;
      to[row * by_time.size(0) + column] = value;
      // Sharp peaks of the data would leave no shades for what becomes of them.
      if (times[static_cast<size_t>(column)] * 50 >= last) {
        map.high = std::max(map.high, value);
      }
    }
  }
  // A cell's middle stands at its time and place.
  const double half_t = 0.5 * static_cast<double>(last) / static_cast<double>(times.size() - 1);
  const double half_x = 0.5 * (x[1] - x[0]);
  map.x_low = -half_t;
  map.x_high = static_cast<double>(last) + half_t;
  map.y_low = x.front() - half_x;
  map.y_high = x.back() + half_x;
  return map;
}

Panel map_panel(const GaussianMixture& data, const NoiseSchedule& schedule, int64_t trajectories) {
  const int64_t last = schedule.num_timesteps();
  Panel panel;
  panel.x.label = "t";
  panel.y.label = "xₜ";
  const std::vector<double> places = density_places(data, 2);
  panel.x.range = {0, static_cast<double>(last)};
  panel.y.range = {places.front(), places.back()};
  panel.marks.emplace_back(heat_map(data, schedule));
  if (trajectories > 0) {
    std::vector<int64_t> times(static_cast<size_t>(last) + 1);
    std::iota(times.begin(), times.end(), 0);
    const Tensor walks = noising_trajectory(schedule, data.sample(trajectories), times, NoisingMode::stepwise);
    for (int64_t n = 0; n < trajectories; ++n) {
      Line line{.color = hex(0xc8553d, 0.65), .width = 0.6};
      for (int64_t t = 0; t <= last; ++t) {
        line.x.push_back(static_cast<double>(t));
        line.y.push_back(walks.data<double>()[t * trajectories + n]);
      }
      panel.marks.emplace_back(std::move(line));
    }
  }
  return panel;
}

}  // namespace

Tensor diffused_densities(const GaussianMixture& data,
                          const NoiseSchedule& schedule,
                          std::span<const int64_t> times,
                          std::span<const double> x) {
  Tensor out = Tensor::empty({static_cast<int64_t>(times.size()), static_cast<int64_t>(x.size())}, DType::f64);
  double* to = out.mutable_data<double>();
  for (const int64_t t : times) {
    const GaussianMixture at_t = data.diffused(level_at(schedule, t));
    for (const double place : x) {
      *to++ = at_t.density(place);
    }
  }
  return out;
}

std::vector<double> density_places(const GaussianMixture& data, int64_t count) {
  double low = -kReach, high = kReach;
  for (const GaussianComponent& c : data.components()) {
    low = std::min(low, c.mean - kReach * c.stddev);
    high = std::max(high, c.mean + kReach * c.stddev);
  }
  std::vector<double> places;
  for (int64_t i = 0; i < count; ++i) {
    places.push_back(low + (high - low) * static_cast<double>(i) / static_cast<double>(count - 1));
  }
  return places;
}

Figure density_figure(const GaussianMixture& data,
                      const NoiseSchedule& schedule,
                      std::span<const int64_t> times,
                      const DensityOptions& options) {
  Figure figure;
  figure.panel_width = 380;
  figure.panel_height = 260;
  if (options.view != DensityView::map) {
    figure.panels.push_back(curves_panel(data, schedule, times));
  }
  if (options.view != DensityView::curves) {
    figure.panels.push_back(map_panel(data, schedule, options.trajectories));
  }
  return figure;
}

}  // namespace sfumato::plot
