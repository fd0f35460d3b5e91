#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "diffusion/plot/figure.h"

namespace sfumato::plot {
namespace {

constexpr double kOutside = 0.001;  // share of a set that may lie beyond each end of an axis
constexpr double kMargin = 0.06;    // of the axis, around what lies inside

struct Coordinates {
  std::vector<double> x, y;
};

Coordinates coordinates_of(const std::string& name, const Tensor& points) {
  check(points.defined() && points.dim() == 2 && points.size(1) == 2 && is_floating(points.dtype()),
        "scatter_figure: '", name, "' must be floating (N, 2), got ", points.shape());
  Coordinates out;
  const std::vector<double> values = points.to_vector();
  for (size_t i = 0; i < values.size(); i += 2) {
    out.x.push_back(values[i]);
    out.y.push_back(values[i + 1]);
  }
  return out;
}

// Widens [low, high] to the central part of the values.
void include(std::vector<double> values, double& low, double& high) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (!values.empty()) {
    std::sort(values.begin(), values.end());
    const auto skipped = static_cast<size_t>(kOutside * static_cast<double>(values.size()));
    low = std::min(low, values[skipped]);
    high = std::max(high, values[values.size() - 1 - skipped]);
  }
}

struct Square {
  double x_low, x_high, y_low, y_high;
  bool holds(double x, double y) const { return x >= x_low && x <= x_high && y >= y_low && y <= y_high; }
};

// Equal units on both axes, the same for every set.
Square common_square(const std::vector<Coordinates>& sets) {
  double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
  for (const Coordinates& set : sets) {
    include(set.x, low[0], high[0]);
    include(set.y, low[1], high[1]);
  }
  if (!(low[0] <= high[0]) || !(low[1] <= high[1])) {
    return {-1, 1, -1, 1};
  }
  const double side =
      std::max({high[0] - low[0], high[1] - low[1], 1e-6 * std::abs(high[0]), 1e-6 * std::abs(high[1]), 1e-9});
  const double half = side * (0.5 + kMargin), x = (low[0] + high[0]) / 2, y = (low[1] + high[1]) / 2;
  return {x - half, x + half, y - half, y + half};
}

}  // namespace

Figure scatter_figure(const std::string& title,
                      const std::vector<std::pair<std::string, Tensor>>& sets,
                      const ScatterOptions& options) {
  std::vector<Coordinates> coordinates;
  coordinates.reserve(sets.size());
  for (const auto& [name, points] : sets) {
    coordinates.push_back(coordinates_of(name, points));
  }
  const Square square = common_square(coordinates);
  const size_t per_row = options.columns > 0 ? static_cast<size_t>(options.columns) : std::max<size_t>(sets.size(), 1);
  const bool few = sets.size() <= 3;
  Figure figure{.title = title, .columns = options.columns};
  figure.panel_width = figure.panel_height = few ? 260 : 150;
  for (size_t i = 0; i < sets.size(); ++i) {
    const Coordinates& set = coordinates[i];
    const size_t count = set.x.size();
    size_t outside = 0;
    for (size_t k = 0; k < count; ++k) {
      outside += square.holds(set.x[k], set.y[k]) ? 0 : 1;  // NaN counts as outside
    }
    Panel& panel = figure.panels.emplace_back();
    panel.title = sets[i].first;
    panel.note = outside > 0 ? fmt::format("{} of {} outside", outside, count) : "";
    panel.x.range = {square.x_low, square.x_high};
    panel.y.range = {square.y_low, square.y_high};
    panel.x.show_numbers = i + per_row >= sets.size();  // below only, and at the left only: the axes are the same
    panel.y.show_numbers = i % per_row == 0;
    // Few points are solid, many are smoke.
    const double alpha = std::clamp(30.0 / std::sqrt(static_cast<double>(count) + 1), 0.15, 0.8);
    const double radius = (few ? 1.0 : 0.7) * (count > 3000 ? 1.0 : 1.4);
    panel.marks.emplace_back(
        std::in_place_type<Points>,
        Points{
            .x = set.x, .y = set.y, .color = with_alpha(palette(options.one_color ? 0 : i), alpha), .radius = radius});
  }
  return figure;
}

}  // namespace sfumato::plot
