#include "diffusion/plot/raster_canvas.h"

#include <algorithm>
#include <cmath>

#include "diffusion/plot/font.h"

namespace sfumato::plot {
namespace {

// Distance from p to the segment ab.
double distance_to_segment(Point p, Point a, Point b) {
  const double dx = b.x - a.x, dy = b.y - a.y;
  const double length2 = dx * dx + dy * dy;
  const double u = length2 > 0 ? std::clamp(((p.x - a.x) * dx + (p.y - a.y) * dy) / length2, 0.0, 1.0) : 0.0;
  return std::sqrt((p.x - a.x - u * dx) * (p.x - a.x - u * dx) + (p.y - a.y - u * dy) * (p.y - a.y - u * dy));
}

bool is_finite(Point p) { return std::isfinite(p.x) && std::isfinite(p.y); }

// Coordinates far outside the sheet are moved to here, so that an int can hold them and a sum of them is exact enough.
constexpr double kFar = 1e6;
Point on_sheet(Point p, double scale) {
  return {std::clamp(p.x * scale, -kFar, kFar), std::clamp(p.y * scale, -kFar, kFar)};
}

// What part of the pixels of one row lies to the right of the edge a -> b, as a signed change of coverage: `row[x]`
// takes what changes at pixel x. Summed along the row over all edges, that is the polygon's coverage of each pixel.
void add_edge_to_row(std::vector<double>& row, Point a, Point b, double top) {
  const double sign = a.y < b.y ? 1 : -1;
  if (sign < 0) {
    std::swap(a, b);
  }
  const double y0 = std::max(a.y, top), y1 = std::min(b.y, top + 1);
  if (y0 >= y1) {
    return;
  }
  const double slope = (b.x - a.x) / (b.y - a.y);
  const double end = static_cast<double>(row.size()) - 1;
  const auto clamped = [&](double y) { return std::clamp(a.x + (y - a.y) * slope, 0.0, end); };
  double left = clamped(y0), right = clamped(y1);
  if (left > right) {
    std::swap(left, right);
  }
  // The piece of edge covers a height of y1 - y0, spread evenly over left..right.
  const double height = sign * (y1 - y0);
  const auto first = static_cast<size_t>(left);
  const auto last = static_cast<size_t>(std::ceil(right));
  double covered_before = 0;  // of pixel x - 1
  for (size_t x = first; x <= last && x < row.size(); ++x) {
    // Average over pixel x of how much of the edge is to the left of each of its points.
    const double l = std::clamp(left - static_cast<double>(x), 0.0, 1.0);
    const double r = std::clamp(right - static_cast<double>(x), 0.0, 1.0);
    double covered = 1 - r;
    if (right > left) {
      const double share_l = (static_cast<double>(x) + l - left) / (right - left);
      const double share_r = (static_cast<double>(x) + r - left) / (right - left);
      covered += (r - l) * 0.5 * (share_l + share_r);
    } else {
      covered = 1 - l;
    }
    row[x] += height * (covered - covered_before);
    covered_before = covered;
  }
  if (last + 1 < row.size()) {
    row[last + 1] += height * (1 - covered_before);
  }
}

}  // namespace

RasterCanvas::RasterCanvas(double width, double height, double scale) : scale_(scale) {
  const double w = std::ceil(width * scale), h = std::ceil(height * scale);
  check(w >= 1 && h >= 1 && w * h <= 1e8, "picture: a sheet of ", w, " x ", h, " pixels is not possible");
  width_ = static_cast<int>(w);
  height_ = static_cast<int>(h);
  rgb_.assign(static_cast<size_t>(width_) * static_cast<size_t>(height_) * 3, 255.0f);
  end_clip();
}

void RasterCanvas::begin_clip(const Rect& area) {
  const auto pixel = [&](double x, int limit) {
    return static_cast<int>(std::clamp(std::round(x * scale_), 0.0, double(limit)));
  };
  clip_ = {pixel(area.x, width_), pixel(area.y, height_), pixel(area.right(), width_), pixel(area.bottom(), height_)};
}

void RasterCanvas::end_clip() { clip_ = {0, 0, width_, height_}; }

RasterCanvas::Box RasterCanvas::box_around(double left, double top, double right, double bottom) const {
  const auto pixel = [](double x) { return static_cast<int>(std::floor(x)); };
  return {std::max(pixel(left), clip_.left), std::max(pixel(top), clip_.top), std::min(pixel(right) + 1, clip_.right),
          std::min(pixel(bottom) + 1, clip_.bottom)};
}

void RasterCanvas::cover(const Box& box) {
  mask_.assign(static_cast<size_t>(box.right - box.left) * static_cast<size_t>(box.bottom - box.top), 0.0f);
}

void RasterCanvas::blend(const Box& box, const Color& color) {
  const float channels[] = {float(color.red), float(color.green), float(color.blue)};
  const float* coverage = mask_.data();
  for (int y = box.top; y < box.bottom; ++y) {
    float* to =
        rgb_.data() + (static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(box.left)) * 3;
    for (int x = box.left; x < box.right; ++x, to += 3) {
      const float share = *coverage++ * static_cast<float>(color.alpha);
      for (int c = 0; c < 3; ++c) {
        to[c] += share * (channels[c] - to[c]);
      }
    }
  }
}

// A line thinner than a pixel is drawn a pixel wide and paler.
void RasterCanvas::add_line(const Box& box, Point a, Point b, double half_width) {
  const double strength = std::min(1.0, 2 * half_width);
  const double reach = std::max(half_width, 0.5) + 0.5;
  const Box part = box_around(std::min(a.x, b.x) - reach, std::min(a.y, b.y) - reach, std::max(a.x, b.x) + reach,
                              std::max(a.y, b.y) + reach);
  for (int y = part.top; y < part.bottom; ++y) {
    float* row = mask_.data() + static_cast<size_t>(y - box.top) * static_cast<size_t>(box.right - box.left);
    for (int x = part.left; x < part.right; ++x) {
      const double distance = distance_to_segment({x + 0.5, y + 0.5}, a, b);
      const auto covered = static_cast<float>(strength * std::clamp(reach - distance, 0.0, 1.0));
      float& pixel = row[x - box.left];
      pixel = std::max(pixel, covered);
    }
  }
}

// `points` and `width` in pixels.
void RasterCanvas::stroke_pixels(std::span<const Point> points, double width, const Color& color) {
  if (points.empty()) {
    return;
  }
  Point low = points[0], high = points[0];
  for (const Point& p : points) {
    low = {std::min(low.x, p.x), std::min(low.y, p.y)};
    high = {std::max(high.x, p.x), std::max(high.y, p.y)};
  }
  const double reach = std::max(width / 2, 0.5) + 0.5;
  const Box box = box_around(low.x - reach, low.y - reach, high.x + reach, high.y + reach);
  if (box.empty()) {
    return;
  }
  cover(box);
  for (size_t i = 0; i + 1 < points.size(); ++i) {
    add_line(box, points[i], points[i + 1], width / 2);
  }
  if (points.size() == 1) {
    add_line(box, points[0], points[0], width / 2);
  }
  blend(box, color);
}

// Points that are not finite interrupt the line.
void RasterCanvas::polyline(std::span<const Point> points, const Stroke& stroke) {
  std::vector<Point> piece;
  for (const Point& p : points) {
    if (is_finite(p)) {
      piece.push_back(on_sheet(p, scale_));
    } else {
      stroke_pixels(piece, stroke.width * scale_, stroke.color);
      piece.clear();
    }
  }
  stroke_pixels(piece, stroke.width * scale_, stroke.color);
}

void RasterCanvas::polygon(std::span<const Point> points, const Color& fill) {
  std::vector<Point> corners;
  double left = kFar, top = kFar, right = -kFar, bottom = -kFar;
  for (const Point& p : points) {
    if (is_finite(p)) {
      const Point q = on_sheet(p, scale_);
      corners.push_back(q);
      left = std::min(left, q.x);
      right = std::max(right, q.x);
      top = std::min(top, q.y);
      bottom = std::max(bottom, q.y);
    }
  }
  const Box box = corners.empty() ? Box{0, 0, 0, 0} : box_around(left, top, right, bottom);
  if (box.empty()) {
    return;
  }
  cover(box);
  float* out = mask_.data();
  std::vector<double> row;
  for (int y = box.top; y < box.bottom; ++y) {
    row.assign(static_cast<size_t>(box.right - box.left) + 1, 0.0);
    for (size_t i = 0; i < corners.size(); ++i) {
      const Point a = corners[i], b = corners[(i + 1) % corners.size()];
      if (std::max(a.y, b.y) > y && std::min(a.y, b.y) < y + 1) {
        add_edge_to_row(row, {a.x - box.left, a.y}, {b.x - box.left, b.y}, y);
      }
    }
    double sum = 0;
    for (int x = box.left; x < box.right; ++x) {
      sum += row[static_cast<size_t>(x - box.left)];
      *out++ = static_cast<float>(std::min(std::abs(sum), 1.0));
    }
  }
  blend(box, fill);
}

void RasterCanvas::discs(std::span<const Point> centers, double radius, const Color& fill) {
  for (const Point& center : centers) {
    if (is_finite(center)) {
      const Point p = on_sheet(center, scale_);
      stroke_pixels({&p, 1}, 2 * radius * scale_, fill);
    }
  }
}

void RasterCanvas::image(const Rect& area, const Tensor& pixels) {
  check(pixels.defined() && pixels.dtype() == DType::u8 && pixels.dim() == 3 && pixels.numel() > 0 &&
            (pixels.size(2) == 1 || pixels.size(2) == 3),
        "picture: pixels must be u8 (H, W, 1 or 3), got ", pixels.dtype(), " ", pixels.shape());
  const Tensor plain = pixels.contiguous();
  const int64_t height = plain.size(0), width = plain.size(1), channels = plain.size(2);
  const double left = area.x * scale_, top = area.y * scale_;
  const double step_x = area.width * scale_ / double(width), step_y = area.height * scale_ / double(height);
  const Box box = box_around(left, top, area.right() * scale_, area.bottom() * scale_);
  const auto* from = plain.data<uint8_t>();
  for (int y = box.top; y < box.bottom; ++y) {
    const double v = std::floor((y + 0.5 - top) / step_y);
    for (int x = box.left; x < box.right && v >= 0 && v < double(height); ++x) {
      const double u = std::floor((x + 0.5 - left) / step_x);
      if (u >= 0 && u < double(width)) {
        const uint8_t* pixel = from + (static_cast<int64_t>(v) * width + static_cast<int64_t>(u)) * channels;
        float* to = rgb_.data() + (static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)) * 3;
        for (int c = 0; c < 3; ++c) {
          to[c] = pixel[channels == 3 ? c : 0];
        }
      }
    }
  }
}

void RasterCanvas::text(const Point& baseline, std::string_view text, const TextStyle& style) {
  const double width = text_width(text, style.size);
  const double start = style.anchor == Anchor::start ? 0 : style.anchor == Anchor::middle ? -width / 2 : -width;
  for (GlyphStroke& stroke : text_strokes(text, style.size, style.bold)) {
    for (Point& point : stroke.points) {
      const Point p{point.x + start, point.y};
      point = style.upwards ? Point{(baseline.x + p.y) * scale_, (baseline.y - p.x) * scale_}
                            : Point{(baseline.x + p.x) * scale_, (baseline.y + p.y) * scale_};
    }
    stroke_pixels(stroke.points, stroke.pen * scale_, style.color);
  }
}

Tensor RasterCanvas::pixels() const {
  Tensor out = Tensor::empty({height_, width_, 3}, DType::u8);
  auto* to = out.mutable_data<uint8_t>();
  for (const float value : rgb_) {
    *to++ = static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f));
  }
  return out;
}

}  // namespace sfumato::plot
