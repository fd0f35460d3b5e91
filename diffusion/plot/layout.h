// Where everything of a figure goes: ranges of the axes, their ticks, and the rectangles of the panels. For figure.cpp.
//
//   Layout layout = lay_out(figure);
//   Point p = layout.panels[0].at(x, y);
#pragma once

#include <string>
#include <vector>

#include "diffusion/plot/figure.h"

namespace sfumato::plot::detail {

inline constexpr double kNumberSize = 9.5;
inline constexpr double kLabelSize = 11;
inline constexpr double kTitleSize = 14;
inline constexpr double kTickLength = 4;
inline constexpr double kColorBarWidth = 10;
inline constexpr double kSwatchWidth = 16;

struct Range {
  double low = 0, high = 1;
};

struct LegendEntry {
  Color color;
  std::string label;
  bool disc;  // else a line
};

struct PanelLayout {
  Rect area;  // inside the axes
  Range x, y;
  std::vector<Tick> x_ticks, y_ticks;
  double y_numbers = 0;  // width of the numbers at the y axis
  std::vector<LegendEntry> legend;
  const HeatMap* color_bar = nullptr;

  Point at(double vx, double vy) const {
    return {area.x + (vx - x.low) / (x.high - x.low) * area.width,
            area.bottom() - (vy - y.low) / (y.high - y.low) * area.height};
  }
};

struct Layout {
  double width = 0, height = 0;
  Point title;
  std::vector<PanelLayout> panels;
};

// Throws Error as draw() in figure.h says.
Layout lay_out(const Figure& figure);
// Round numbers on a heat map's colour scale.
std::vector<Tick> color_ticks(const HeatMap& map);

}  // namespace sfumato::plot::detail
