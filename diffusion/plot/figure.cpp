#include "diffusion/plot/figure.h"

#include <algorithm>
#include <cmath>

#include "diffusion/image/png.h"
#include "diffusion/plot/font.h"
#include "diffusion/plot/layout.h"
#include "diffusion/plot/raster_canvas.h"
#include "diffusion/plot/svg_canvas.h"
#include "tensor/io/file.h"

namespace sfumato::plot {
namespace {

using namespace detail;

constexpr Color kInk = hex(0x333333);
constexpr Color kAxis = hex(0x8a8f98);
constexpr double kAxisWidth = 1;

std::vector<Point> place(const PanelLayout& layout, const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<Point> points(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    points[i] = layout.at(x[i], y[i]);
  }
  return points;
}

void draw_mark(const PanelLayout& layout, const Line& line, Canvas& canvas) {
  canvas.polyline(place(layout, line.x, line.y), {line.color, line.width});
}

void draw_mark(const PanelLayout& layout, const Area& area, Canvas& canvas) {
  if (area.x.empty()) {
    return;
  }
  std::vector<Point> outline = place(layout, area.x, area.y);
  outline.push_back(layout.at(area.x.back(), area.low));
  outline.push_back(layout.at(area.x.front(), area.low));
  canvas.polygon(outline, area.color);
}

void draw_mark(const PanelLayout& layout, const Points& points, Canvas& canvas) {
  std::vector<Point> inside;  // an SVG does not carry what nobody sees
  for (const Point& p : place(layout, points.x, points.y)) {
    const Rect& area = layout.area;
    const double r = points.radius;
    if (p.x > area.x - r && p.x < area.right() + r && p.y > area.y - r && p.y < area.bottom() + r) {
      inside.push_back(p);
    }
  }
  canvas.discs(inside, points.radius, points.color);
}

void put(uint8_t*& out, const Color& color) {
  *out++ = color.red;
  *out++ = color.green;
  *out++ = color.blue;
}

void draw_mark(const PanelLayout& layout, const HeatMap& map, Canvas& canvas) {
  check(map.values.defined() && map.values.dim() == 2 && map.values.numel() > 0 && is_floating(map.values.dtype()),
        "figure: a heat map needs floating values (rows, columns), got ", map.values.shape());
  check(map.low < map.high, "figure: a colour scale from ", map.low, " to ", map.high, " is empty");
  const std::vector<double> values = map.values.to_vector();
  const int64_t rows = map.values.size(0), columns = map.values.size(1);
  Tensor pixels = Tensor::empty({rows, columns, 3}, DType::u8);
  auto* out = pixels.mutable_data<uint8_t>();
  for (int64_t row = rows; row-- > 0;) {
    for (int64_t column = 0; column < columns; ++column) {
      const double value = values[static_cast<size_t>(row * columns + column)];
      put(out, sequential_color((value - map.low) / (map.high - map.low)));
    }
  }
  const Point corner = layout.at(map.x_low, map.y_high), opposite = layout.at(map.x_high, map.y_low);
  canvas.image({corner.x, corner.y, opposite.x - corner.x, opposite.y - corner.y}, pixels);
}

void draw_axes(const Panel& panel, const PanelLayout& layout, Canvas& canvas) {
  const Rect& area = layout.area;
  const Stroke thin{kAxis, kAxisWidth};
  const TextStyle number{.size = kNumberSize, .color = kInk, .anchor = Anchor::middle};
  const Point frame[] = {{area.x, area.y}, {area.x, area.bottom()}, {area.right(), area.bottom()}};
  canvas.polyline(frame, thin);
  for (const Tick& tick : layout.x_ticks) {
    const double x = std::floor(layout.at(tick.value, layout.y.low).x) + 0.5;
    const Point mark[] = {{x, area.bottom()}, {x, area.bottom() + kTickLength}};
    canvas.polyline(mark, thin);
    if (!tick.label.empty()) {
      canvas.text({x, area.bottom() + kTickLength + 4 + 0.7 * kNumberSize}, tick.label, number);
    }
  }
  TextStyle right_aligned = number;
  right_aligned.anchor = Anchor::end;
  for (const Tick& tick : layout.y_ticks) {
    const double y = std::floor(layout.at(layout.x.low, tick.value).y) + 0.5;
    const Point mark[] = {{area.x - kTickLength, y}, {area.x, y}};
    canvas.polyline(mark, thin);
    if (!tick.label.empty()) {
      canvas.text({area.x - kTickLength - 4, y + 0.35 * kNumberSize}, tick.label, right_aligned);
    }
  }
  TextStyle label{.size = kLabelSize, .color = kInk, .anchor = Anchor::middle};
  if (!panel.x.label.empty()) {
    const double below = kTickLength + (panel.x.show_numbers ? kNumberSize + 4 : 0) + 6 + 0.7 * kLabelSize;
    canvas.text({area.x + area.width / 2, area.bottom() + below}, panel.x.label, label);
  }
  if (!panel.y.label.empty()) {
    label.upwards = true;
    const double aside = kTickLength + (panel.y.show_numbers ? layout.y_numbers + 4 : 0) + 8;
    canvas.text({area.x - aside, area.y + area.height / 2}, panel.y.label, label);
  }
}

void draw_legend(const PanelLayout& layout, Canvas& canvas) {
  double y = layout.area.y + kLabelSize / 2;
  const double x = layout.area.right() + 12;
  for (const LegendEntry& entry : layout.legend) {
    const Point ends[] = {{x, y}, {x + kSwatchWidth, y}};
    if (entry.disc) {
      const Point middle{x + kSwatchWidth / 2, y};
      canvas.discs({&middle, 1}, 3, with_alpha(entry.color, 1));
    } else {
      canvas.polyline(ends, {with_alpha(entry.color, 1), 2});
    }
    canvas.text({x + kSwatchWidth + 6, y + 0.35 * kLabelSize}, entry.label, {.size = kLabelSize, .color = kInk});
    y += kLabelSize + 5;
  }
}

void draw_color_bar(const PanelLayout& layout, Canvas& canvas) {
  const HeatMap& map = *layout.color_bar;
  constexpr int64_t kShades = 256;
  Tensor pixels = Tensor::empty({kShades, 1, 3}, DType::u8);
  auto* out = pixels.mutable_data<uint8_t>();
  for (int64_t i = kShades; i-- > 0;) {
    put(out, sequential_color((static_cast<double>(i) + 0.5) / kShades));
  }
  const Rect bar{layout.area.right() + 12, layout.area.y, kColorBarWidth, layout.area.height};
  canvas.image(bar, pixels);
  const Point frame[] = {
      {bar.x, bar.y}, {bar.right(), bar.y}, {bar.right(), bar.bottom()}, {bar.x, bar.bottom()}, {bar.x, bar.y}};
  canvas.polyline(frame, {kAxis, 0.5});
  double numbers = 0;
  for (const Tick& tick : color_ticks(map)) {
    const double y = bar.bottom() - (tick.value - map.low) / (map.high - map.low) * bar.height;
    canvas.text({bar.right() + 4, y + 0.35 * kNumberSize}, tick.label, {.size = kNumberSize, .color = kInk});
    numbers = std::max(numbers, text_width(tick.label, kNumberSize));
  }
  canvas.text({bar.right() + 4 + numbers + 6 + 0.7 * kLabelSize, bar.y + bar.height / 2}, map.label,
              {.size = kLabelSize, .color = kInk, .anchor = Anchor::middle, .upwards = true});
}

void draw_panel(const Panel& panel, const PanelLayout& layout, Canvas& canvas) {
  canvas.begin_clip(layout.area);
  for (const Mark& mark : panel.marks) {
    std::visit([&](const auto& m) { draw_mark(layout, m, canvas); }, mark);
  }
  canvas.end_clip();
  draw_axes(panel, layout, canvas);
  draw_legend(layout, canvas);
  if (layout.color_bar != nullptr) {
    draw_color_bar(layout, canvas);
  }
  canvas.text({layout.area.x, layout.area.y - 7}, panel.title, {.size = kLabelSize, .color = kInk});
  canvas.text({layout.area.right(), layout.area.y - 7}, panel.note,
              {.size = kNumberSize, .color = hex(0x777777), .anchor = Anchor::end});
}

}  // namespace

FigureSize size_of(const Figure& figure) {
  const Layout layout = lay_out(figure);
  return {layout.width, layout.height};
}

void draw(const Figure& figure, Canvas& canvas) {
  const Layout layout = lay_out(figure);
  canvas.text(layout.title, figure.title, {.size = kTitleSize, .color = kInk, .bold = true});
  for (size_t i = 0; i < figure.panels.size(); ++i) {
    draw_panel(figure.panels[i], layout.panels[i], canvas);
  }
}

std::string to_svg(const Figure& figure) {
  const FigureSize size = size_of(figure);
  SvgCanvas canvas(size.width, size.height);
  draw(figure, canvas);
  return canvas.finish();
}

Tensor to_pixels(const Figure& figure, double scale) {
  const FigureSize size = size_of(figure);
  RasterCanvas canvas(size.width, size.height, scale);
  draw(figure, canvas);
  return canvas.pixels();
}

void save_figure(const std::filesystem::path& path, const Figure& figure, double scale) {
  const std::string ending = path.extension().string();
  check(ending == ".svg" || ending == ".png", "figure: ", path.string(), " must end in .svg or .png");
  if (ending == ".svg") {
    write_file_durably(path, to_svg(figure));
  } else {
    write_png(path, to_pixels(figure, scale));
  }
}

}  // namespace sfumato::plot
