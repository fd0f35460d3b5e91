// A canvas of pixels with anti-aliased lines, areas and discs, and the stroke font of font.h.
//
//   RasterCanvas sheet(400, 300, /*scale=*/2);    // 800 x 600 pixels
//   draw(figure, sheet);
//   write_png("figure.png", sheet.pixels());
//
// A pixel's coverage by a line or disc follows from the distance of its centre, by a polygon from the exact area;
// colours are mixed as bytes are stored (sRGB), which is what browsers do.
#pragma once

#include "diffusion/plot/canvas.h"

namespace sfumato::plot {

class RasterCanvas : public Canvas {
 public:
  // White. `scale`: pixels per unit. Throws Error unless the sheet has 1 to 100 million pixels.
  RasterCanvas(double width, double height, double scale = 1);

  void begin_clip(const Rect& area) override;
  void end_clip() override;
  void polyline(std::span<const Point> points, const Stroke& stroke) override;
  void polygon(std::span<const Point> points, const Color& fill) override;
  void discs(std::span<const Point> centers, double radius, const Color& fill) override;
  void image(const Rect& area, const Tensor& pixels) override;
  void text(const Point& baseline, std::string_view text, const TextStyle& style) override;

  // u8 (H, W, 3).
  Tensor pixels() const;

 private:
  // Pixels left <= x < right, top <= y < bottom.
  struct Box {
    int left, top, right, bottom;
    bool empty() const { return left >= right || top >= bottom; }
  };
  // The pixels that something between these coordinates touches, inside the clip.
  Box box_around(double left, double top, double right, double bottom) const;
  void cover(const Box& box);
  void blend(const Box& box, const Color& color);
  void add_line(const Box& box, Point a, Point b, double half_width);
  void stroke_pixels(std::span<const Point> points, double width, const Color& color);

  int width_, height_;
  double scale_;
  Box clip_;
  std::vector<float> rgb_;   // (H, W, 3), 0..255
  std::vector<float> mask_;  // coverage of the shape at hand over its box
};

}  // namespace sfumato::plot
