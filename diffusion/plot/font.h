// The letters of the raster canvas: a small stroke font of our own, because a node of a cluster has no fonts and equal
// input must give equal pixels.
//
//   double wide = text_width("xₜ at t = 500", 12);
//   for (const GlyphStroke& stroke : text_strokes("q(x₀)", 12)) ...   // polylines from the origin, y downwards
//
// Geometric shapes drawn with one pen: capitals are 7 units high, small letters 5, descenders reach -2; an em is 10.
#pragma once

#include <string_view>
#include <vector>

#include "diffusion/plot/canvas.h"

namespace sfumato::plot {

// One stroke of the pen.
struct GlyphStroke {
  std::vector<Point> points;
  double pen = 0;  // its width
};

// A piece of text in one vertical position: `level` is 0 on the line, -1 for a subscript, 1 for a superscript, whose
// letters are given as plain ones: "xₜ" is {"x", 0}, {"t", -1}.
struct TextRun {
  std::string text;
  int level = 0;
};
std::vector<TextRun> text_runs(std::string_view text);

inline constexpr double kScriptSize = 0.7;     // of the letters of a sub- or superscript
inline constexpr double kSubscriptDrop = 0.2;  // in ems of the line
inline constexpr double kSuperscriptRise = 0.33;

// How far the text reaches, in the unit of `size` (of the em).
double text_width(std::string_view text, double size);
// The text's strokes from baseline (0, 0) on. Bytes that are no UTF-8 and letters unknown are boxes.
std::vector<GlyphStroke> text_strokes(std::string_view text, double size, bool bold = false);

}  // namespace sfumato::plot
