#include "diffusion/plot/layout.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "diffusion/plot/font.h"

namespace sfumato::plot::detail {
namespace {

constexpr double kMargin = 14;
constexpr double kGap = 18;  // between panels

// The smallest range that holds what it is shown.
class Extent {
 public:
  void add(double value) {
    if (std::isfinite(value)) {
      low_ = std::min(low_, value);
      high_ = std::max(high_, value);
    }
  }
  void add(const std::vector<double>& values) {
    for (const double value : values) {
      add(value);
    }
  }
  // With `pad` of its length added below and above; something sensible for no values, or one.
  Range padded(double below, double above) const {
    if (!(low_ <= high_)) {
      return {0, 1};
    }
    const double length = high_ - low_;
    if (!(length > 1e-9 * std::max(std::abs(low_), std::abs(high_)))) {
      const double half = low_ == 0 ? 1 : std::abs(low_) / 2;
      return {low_ - half, high_ + half};
    }
    return {low_ - below * length, high_ + above * length};
  }

 private:
  double low_ = std::numeric_limits<double>::infinity(), high_ = -low_;
};

void check_lengths(const char* mark, const std::vector<double>& x, const std::vector<double>& y) {
  check(x.size() == y.size(), "figure: a ", mark, " has ", x.size(), " x and ", y.size(), " y");
}

// What the marks of a panel need.
void find_ranges(const Panel& panel, PanelLayout& layout) {
  Extent x, y;
  bool only_points = true, on_ground = false;
  for (const Mark& mark : panel.marks) {
    if (const auto* map = std::get_if<HeatMap>(&mark)) {
      for (const double value : {map->x_low, map->x_high}) x.add(value);
      for (const double value : {map->y_low, map->y_high}) y.add(value);
      on_ground = true;
    } else if (const auto* area = std::get_if<Area>(&mark)) {
      check_lengths("filled area", area->x, area->y);
      x.add(area->x);
      y.add(area->y);
      y.add(area->low);
      on_ground = true;
    } else if (const auto* line = std::get_if<Line>(&mark)) {
      check_lengths("line", line->x, line->y);
      x.add(line->x);
      y.add(line->y);
    } else if (const auto* points = std::get_if<Points>(&mark)) {
      check_lengths("set of points", points->x, points->y);
      x.add(points->x);
      y.add(points->y);
      continue;
    }
    only_points = false;
  }
  const double aside = only_points ? 0.04 : 0;
  layout.x = x.padded(aside, aside);
  layout.y = y.padded(on_ground ? 0 : 0.04, 0.04);
}

void set_range(Range& range, const Axis& axis) {
  if (axis.range) {
    range = {axis.range->first, axis.range->second};
    check(range.low < range.high && std::isfinite(range.low) && std::isfinite(range.high), "figure: an axis from ",
          range.low, " to ", range.high, " is empty");
  }
}

std::vector<Tick> ticks_of(const Axis& axis, const Range& range, double length) {
  std::vector<Tick> ticks;
  for (const Tick& tick : axis.ticks ? *axis.ticks : nice_ticks(range.low, range.high, static_cast<int>(length / 50))) {
    if (tick.value >= range.low && tick.value <= range.high) {
      ticks.push_back({tick.value, axis.show_numbers ? tick.label : ""});
    }
  }
  return ticks;
}

void find_legend(const Panel& panel, PanelLayout& layout) {
  for (const Mark& mark : panel.marks) {
    if (const auto* line = std::get_if<Line>(&mark); line != nullptr && !line->label.empty()) {
      layout.legend.push_back({line->color, line->label, false});
    } else if (const auto* points = std::get_if<Points>(&mark); points != nullptr && !points->label.empty()) {
      layout.legend.push_back({points->color, points->label, true});
    } else if (const auto* map = std::get_if<HeatMap>(&mark); map != nullptr && !map->label.empty()) {
      layout.color_bar = map;
    }
  }
}

// Space that a panel needs around its axes.
struct Margins {
  double left = 0, top = 0, right = 0, bottom = 0;
  void include(const Margins& other) {
    left = std::max(left, other.left);
    top = std::max(top, other.top);
    right = std::max(right, other.right);
    bottom = std::max(bottom, other.bottom);
  }
};

double widest(const std::vector<Tick>& ticks) {
  double width = 0;
  for (const Tick& tick : ticks) {
    width = std::max(width, text_width(tick.label, kNumberSize));
  }
  return width;
}

Margins margins_of(const Panel& panel, const PanelLayout& layout) {
  const auto has_numbers = [](const std::vector<Tick>& ticks) {
    return std::any_of(ticks.begin(), ticks.end(), [](const Tick& tick) { return !tick.label.empty(); });
  };
  Margins margins;
  margins.left = kTickLength + (has_numbers(layout.y_ticks) ? layout.y_numbers + 4 : 0);
  margins.left += panel.y.label.empty() ? 0 : kLabelSize + 9;
  margins.bottom = kTickLength + (has_numbers(layout.x_ticks) ? kNumberSize + 4 : 0);
  margins.bottom += panel.x.label.empty() ? 0 : kLabelSize + 7;
  margins.top = panel.title.empty() && panel.note.empty() ? kNumberSize / 2 : kLabelSize + 9;
  margins.right = 4;
  for (const LegendEntry& entry : layout.legend) {
    margins.right = std::max(margins.right, 12 + kSwatchWidth + 6 + text_width(entry.label, kLabelSize));
  }
  if (layout.color_bar != nullptr) {
    const double numbers = widest(color_ticks(*layout.color_bar));
    margins.right = 12 + kColorBarWidth + 4 + numbers + 8 + kLabelSize;
  }
  return margins;
}

}  // namespace

std::vector<Tick> color_ticks(const HeatMap& map) { return nice_ticks(map.low, map.high, 4); }

Layout lay_out(const Figure& figure) {
  check(!figure.panels.empty(), "figure: there is no panel");
  check(figure.panel_width >= 20 && figure.panel_height >= 20, "figure: a panel of ", figure.panel_width, " x ",
        figure.panel_height, " is too small");
  const size_t count = figure.panels.size();
  const size_t columns = figure.columns > 0 ? std::min(static_cast<size_t>(figure.columns), count) : count;
  const size_t rows = (count + columns - 1) / columns;

  Layout layout;
  std::vector<Margins> column_margins(columns), row_margins(rows);
  for (size_t i = 0; i < count; ++i) {
    const Panel& panel = figure.panels[i];
    PanelLayout& placed = layout.panels.emplace_back();
    find_ranges(panel, placed);
    set_range(placed.x, panel.x);
    set_range(placed.y, panel.y);
    placed.x_ticks = ticks_of(panel.x, placed.x, figure.panel_width);
    placed.y_ticks = ticks_of(panel.y, placed.y, figure.panel_height);
    placed.y_numbers = widest(placed.y_ticks);
    find_legend(panel, placed);
    const Margins margins = margins_of(panel, placed);
    column_margins[i % columns].include(margins);
    row_margins[i / columns].include(margins);
  }
  const double top = kMargin + (figure.title.empty() ? 0 : kTitleSize + 12);
  double y = top;
  for (size_t row = 0; row < rows; ++row) {
    double x = kMargin;
    y += row_margins[row].top;
    for (size_t column = 0; column < columns; ++column) {
      x += column_margins[column].left;
      if (row * columns + column < count) {
        // Half a unit off the grid: a line one unit wide is then sharp at any whole scale.
        layout.panels[row * columns + column].area = {std::round(x) + 0.5, std::round(y) + 0.5, figure.panel_width,
                                                      figure.panel_height};
      }
      x += figure.panel_width + column_margins[column].right + (column + 1 < columns ? kGap : 0);
    }
    layout.width = std::round(x) + kMargin;
    y += figure.panel_height + row_margins[row].bottom + (row + 1 < rows ? kGap / 2 : 0);
  }
  layout.height = std::round(y) + kMargin;
  layout.title = {layout.panels[0].area.x, kMargin + kTitleSize * 0.75};
  constexpr double kBoldIsWider = 1.1;
  layout.width =
      std::max(layout.width, std::ceil(layout.title.x + kBoldIsWider * text_width(figure.title, kTitleSize)) + kMargin);
  return layout;
}

}  // namespace sfumato::plot::detail
