#include "diffusion/plot/font.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <string>

#include "diffusion/plot/glyphs.h"

namespace sfumato::plot {
namespace {

constexpr double kEm = 10;         // in units of the drawings
constexpr double kSpacing = 1.75;  // between letters
constexpr double kPen = 0.85;
constexpr double kBoldPen = 1.25;
constexpr char32_t kBadLetter = 0xFFFD;

// The next letter of a UTF-8 text, which loses it; kBadLetter for a byte that begins none.
char32_t take_letter(std::string_view& text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  const size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
  char32_t letter = length == 1 ? first : first & (0x7Fu >> length);
  bool good = length > 0;
  for (size_t i = 1; i < length; ++i) {
    good = good && byte(i) >> 6 == 2;
    letter = letter << 6 | (byte(i) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};  // written shorter than that: not allowed
  good = good && letter >= kLeast[length] && letter <= 0x10FFFF && (letter < 0xD800 || letter > 0xDFFF);
  text.remove_prefix(good ? length : 1);
  return good ? letter : kBadLetter;
}

void append_utf8(std::string& text, char32_t letter) {
  if (letter < 0x80) {
    text += static_cast<char>(letter);
  } else if (letter < 0x800) {
    text += static_cast<char>(0xC0 | letter >> 6);
    text += static_cast<char>(0x80 | (letter & 0x3F));
  } else if (letter < 0x10000) {
    text += static_cast<char>(0xE0 | letter >> 12);
    text += static_cast<char>(0x80 | (letter >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (letter & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | letter >> 18);
    text += static_cast<char>(0x80 | (letter >> 12 & 0x3F));
    text += static_cast<char>(0x80 | (letter >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (letter & 0x3F));
  }
}

detail::Glyph glyph_of(char32_t letter) {
  const auto* found = std::find_if(std::begin(detail::kGlyphs), std::end(detail::kGlyphs),
                                   [&](const detail::Glyph& glyph) { return glyph.letter == letter; });
  return found != std::end(detail::kGlyphs) ? *found : detail::Glyph{letter, detail::kBoxWidth, detail::kBox};
}

// The numbers of an item, as many as there are (at most 6).
std::vector<double> numbers_of(std::string_view item) {
  std::vector<double> numbers;
  const char* at = item.data();
  const char* const end = at + item.size();
  while (at < end) {
    double number = 0;
    at = std::from_chars(at, end, number).ptr + 1;
    numbers.push_back(number);
  }
  return numbers;
}

std::string_view take_until(std::string_view& text, char divider) {
  const size_t length = std::min(text.find(divider), text.size());
  const std::string_view part = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return part;
}

void append_arc(std::vector<Point>& points, const std::vector<double>& arc) {
  constexpr double kDegreesPerPiece = 15;
  const int pieces = std::max(1, static_cast<int>(std::ceil(std::abs(arc[5] - arc[4]) / kDegreesPerPiece)));
  for (int i = 0; i <= pieces; ++i) {
    const double angle = (arc[4] + (arc[5] - arc[4]) * i / pieces) * std::numbers::pi / 180;
    points.push_back({arc[0] + arc[2] * std::cos(angle), arc[1] + arc[3] * std::sin(angle)});
  }
}

void append_curve(std::vector<Point>& points, const std::vector<double>& curve) {
  constexpr int kPieces = 8;
  const Point from = points.back();
  for (int i = 1; i <= kPieces; ++i) {
    const double u = static_cast<double>(i) / kPieces, v = 1 - u;
    points.push_back({v * v * from.x + 2 * u * v * curve[0] + u * u * curve[2],
                      v * v * from.y + 2 * u * v * curve[1] + u * u * curve[3]});
  }
}

std::vector<Point> stroke_of(std::string_view drawing) {
  std::vector<Point> points;
  while (!drawing.empty()) {
    const std::string_view item = take_until(drawing, ' ');
    if (item.front() == '@') {
      append_arc(points, numbers_of(item.substr(1)));
    } else if (item.front() == '~') {
      append_curve(points, numbers_of(item.substr(1)));
    } else {
      const std::vector<double> numbers = numbers_of(item);
      points.push_back({numbers[0], numbers[1]});
    }
  }
  return points;
}

// Calls visit(glyph, x, size, level) for each letter, at its left end; returns where the text ends.
template <class F>
double lay_out(std::string_view text, double size, F&& visit) {
  double x = 0, gap = 0;
  for (const TextRun& run : text_runs(text)) {
    const double unit = size * (run.level == 0 ? 1 : kScriptSize) / kEm;
    std::string_view rest = run.text;
    while (!rest.empty()) {
      const detail::Glyph glyph = glyph_of(take_letter(rest));
      visit(glyph, x + gap, unit, run.level);
      x += gap + glyph.width * unit;
      gap = kSpacing * unit;
    }
  }
  return x;
}

}  // namespace

std::vector<TextRun> text_runs(std::string_view text) {
  std::vector<TextRun> runs;
  while (!text.empty()) {
    char32_t letter = take_letter(text);
    int level = 0;
    for (const detail::Script& script : detail::kScripts) {
      if (script.letter == letter) {
        letter = script.plain;
        level = script.level;
        break;
      }
    }
    if (runs.empty() || runs.back().level != level) {
      runs.push_back({"", level});
    }
    append_utf8(runs.back().text, letter);
  }
  return runs;
}

double text_width(std::string_view text, double size) {
  return lay_out(text, size, [](const detail::Glyph&, double, double, int) {});
}

std::vector<GlyphStroke> text_strokes(std::string_view text, double size, bool bold) {
  std::vector<GlyphStroke> strokes;
  lay_out(text, size, [&](const detail::Glyph& glyph, double x, double unit, int level) {
    const double y = size * (level < 0 ? kSubscriptDrop : level > 0 ? -kSuperscriptRise : 0);
    // A script's pen is not thinned as far as its letters shrink: both shall look equally dark.
    const double pen = (bold ? kBoldPen : kPen) * (level == 0 ? unit : unit * 1.15);
    std::string_view drawing = glyph.drawing;
    while (!drawing.empty()) {
      GlyphStroke stroke{stroke_of(take_until(drawing, ';')), pen};
      for (Point& point : stroke.points) {
        point = {x + point.x * unit, y - point.y * unit};
      }
      strokes.push_back(std::move(stroke));
    }
  });
  return strokes;
}

}  // namespace sfumato::plot
