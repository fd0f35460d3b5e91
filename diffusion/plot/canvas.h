// What figures are drawn on: a sheet with lines, areas, discs, pixels and text, as SVG or as pixels.
//
//   RasterCanvas sheet(300, 200, /*scale=*/2);
//   const Point line[] = {{20, 180}, {280, 20}};
//   sheet.polyline(line, {.color = palette(0), .width = 1.5});
//   sheet.text({20, 30}, "xₜ at t = 500", {.size = 12});
//   write_png("line.png", sheet.pixels());
//
// Lengths are in units of 1/96 inch (CSS pixels), x to the right, y downwards, the origin at the upper left. Neither
// canvas asks the machine for anything, fonts included: equal calls give equal bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace sfumato::plot {

struct Point {
  double x = 0, y = 0;
};

struct Rect {
  double x = 0, y = 0, width = 0, height = 0;
  double right() const { return x + width; }
  double bottom() const { return y + height; }
};

// Red, green and blue 0..255; alpha 0 (invisible) to 1.
struct Color {
  uint8_t red = 0, green = 0, blue = 0;
  double alpha = 1;
};
constexpr Color hex(uint32_t rgb, double alpha = 1) {
  return {static_cast<uint8_t>(rgb >> 16), static_cast<uint8_t>(rgb >> 8), static_cast<uint8_t>(rgb), alpha};
}
constexpr Color with_alpha(Color color, double alpha) { return {color.red, color.green, color.blue, alpha}; }

// A line's ends and corners are round.
struct Stroke {
  Color color = {};
  double width = 1;
};

enum class Anchor { start, middle, end };

// UTF-8 text. Subscripts and superscripts are written as such: "xₜ", "10⁻³". Of other scripts than Latin only the
// symbols of formulas are known to the raster canvas; the rest is drawn as boxes.
struct TextStyle {
  double size = 11;  // of the em; capitals are 0.7 of it high
  Color color = hex(0x333333);
  Anchor anchor = Anchor::start;
  bool bold = false;
  bool upwards = false;  // turned by 90 degrees, read from below
};

class Canvas {
 public:
  virtual ~Canvas() = default;

  // What is drawn until end_clip() shows inside `area` only. Clips do not nest.
  virtual void begin_clip(const Rect& area) = 0;
  virtual void end_clip() = 0;

  virtual void polyline(std::span<const Point> points, const Stroke& stroke) = 0;
  // A closed polygon that does not overlap itself.
  virtual void polygon(std::span<const Point> points, const Color& fill) = 0;
  virtual void discs(std::span<const Point> centers, double radius, const Color& fill) = 0;
  // `pixels`, u8 (H, W, 1 or 3), stretched over `area`, without smoothing.
  virtual void image(const Rect& area, const Tensor& pixels) = 0;
  // `baseline` is where the text stands, at its start, middle or end.
  virtual void text(const Point& baseline, std::string_view text, const TextStyle& style) = 0;
};

}  // namespace sfumato::plot
