// A canvas that writes SVG: text stays text, lines stay lines, heat maps and images are embedded as PNG.
//
//   SvgCanvas sheet(400, 300);
//   draw(figure, sheet);
//   write_file_durably("figure.svg", sheet.finish());
#pragma once

#include <string>

#include "diffusion/plot/canvas.h"

namespace sfumato::plot {

class SvgCanvas : public Canvas {
 public:
  SvgCanvas(double width, double height);

  void begin_clip(const Rect& area) override;
  void end_clip() override;
  void polyline(std::span<const Point> points, const Stroke& stroke) override;
  void polygon(std::span<const Point> points, const Color& fill) override;
  void discs(std::span<const Point> centers, double radius, const Color& fill) override;
  void image(const Rect& area, const Tensor& pixels) override;
  void text(const Point& baseline, std::string_view text, const TextStyle& style) override;

  // The whole document; nothing may be drawn after it.
  std::string finish();

 private:
  std::string svg_;
  int clips_ = 0;
};

}  // namespace sfumato::plot
