#include "diffusion/plot/svg_canvas.h"

#include <fmt/format.h>

#include <cmath>

#include "diffusion/image/png.h"
#include "diffusion/plot/font.h"

namespace sfumato::plot {
namespace {

// Hundredths of a unit are finer than any screen: "12", "12.5", "12.25".
std::string number(double x) {
  std::string text = fmt::format("{:.2f}", std::abs(x) < 0.005 ? 0.0 : x);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) {
    text.pop_back();
  }
  return text;
}

std::string paint(const char* attribute, const Color& color) {
  std::string text = fmt::format(" {}=\"#{:02x}{:02x}{:02x}\"", attribute, color.red, color.green, color.blue);
  if (color.alpha < 1) {
    text += fmt::format(" {}-opacity=\"{:g}\"", attribute, color.alpha);
  }
  return text;
}

// "M1 2L3 4L5 6": a gap where a point is not finite.
std::string path_of(std::span<const Point> points) {
  std::string path;
  bool pen_down = false;
  for (const Point& p : points) {
    const bool finite = std::isfinite(p.x) && std::isfinite(p.y);
    if (finite) {
      path += fmt::format("{}{} {}", pen_down ? "L" : "M", number(p.x), number(p.y));
    }
    pen_down = finite;
  }
  return path;
}

std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      default: escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // XML has no control characters
    }
  }
  return escaped;
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += i + k <= bytes.size() ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

}  // namespace

SvgCanvas::SvgCanvas(double width, double height) {
  svg_ = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      number(width), number(height));
}

void SvgCanvas::begin_clip(const Rect& area) {
  svg_ += fmt::format(
      "<clipPath id=\"clip{0}\"><rect x=\"{1}\" y=\"{2}\" width=\"{3}\" height=\"{4}\"/></clipPath>\n"
      "<g clip-path=\"url(#clip{0})\">\n",
      clips_++, number(area.x), number(area.y), number(area.width), number(area.height));
}

void SvgCanvas::end_clip() { svg_ += "</g>\n"; }

void SvgCanvas::polyline(std::span<const Point> points, const Stroke& stroke) {
  svg_ += fmt::format(
      "<path d=\"{}\" fill=\"none\"{} stroke-width=\"{}\" stroke-linecap=\"round\" "
      "stroke-linejoin=\"round\"/>\n",
      path_of(points), paint("stroke", stroke.color), number(stroke.width));
}

void SvgCanvas::polygon(std::span<const Point> points, const Color& fill) {
  svg_ += fmt::format("<path d=\"{}Z\"{}/>\n", path_of(points), paint("fill", fill));
}

void SvgCanvas::discs(std::span<const Point> centers, double radius, const Color& fill) {
  svg_ += fmt::format("<g{}>\n", paint("fill", fill));
  for (const Point& p : centers) {
    if (std::isfinite(p.x) && std::isfinite(p.y)) {
      svg_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\"/>\n", number(p.x), number(p.y), number(radius));
    }
  }
  svg_ += "</g>\n";
}

void SvgCanvas::image(const Rect& area, const Tensor& pixels) {
  svg_ += fmt::format(
      "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" "
      "style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{}\"/>\n",
      number(area.x), number(area.y), number(area.width), number(area.height), base64(encode_png(pixels)));
}

// Scripts are shifted letters, not Unicode's: few fonts have those.
void SvgCanvas::text(const Point& baseline, std::string_view text, const TextStyle& style) {
  constexpr const char* kAnchors[] = {"start", "middle", "end"};
  std::string spans;
  double level = 0;
  for (const TextRun& run : text_runs(text)) {
    const double y = style.size * (run.level < 0 ? kSubscriptDrop : run.level > 0 ? -kSuperscriptRise : 0);
    const double size = style.size * (run.level == 0 ? 1 : kScriptSize);
    spans += run.level == 0 && level == 0 ? escape(run.text)
                                          : fmt::format("<tspan dy=\"{}\" font-size=\"{}\">{}</tspan>",
                                                        number(y - level), number(size), escape(run.text));
    level = y;
  }
  svg_ += fmt::format(
      "<text xml:space=\"preserve\" x=\"{}\" y=\"{}\" font-size=\"{}\"{}{}{}{}>{}</text>\n", number(baseline.x),
      number(baseline.y), number(style.size), paint("fill", style.color),
      style.anchor == Anchor::start ? std::string()
                                    : fmt::format(" text-anchor=\"{}\"", kAnchors[static_cast<int>(style.anchor)]),
      style.bold ? " font-weight=\"bold\"" : "",
      style.upwards ? fmt::format(" transform=\"rotate(-90 {} {})\"", number(baseline.x), number(baseline.y))
                    : std::string(),
      spans);
}

std::string SvgCanvas::finish() {
  svg_ += "</svg>\n";
  return std::move(svg_);
}

}  // namespace sfumato::plot
