#include "diffusion/plot/figure.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.h"
#include "diffusion/plot/densities.h"
#include "diffusion/plot/font.h"
#include "diffusion/plot/glyphs.h"
#include "diffusion/plot/layout.h"
#include "diffusion/plot/raster_canvas.h"
#include "diffusion/plot/strip.h"
#include "diffusion/plot/svg_canvas.h"
#include "tensor/io/file.h"
#include "tensor/ops/elementwise.h"
#include "tensor/random.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::plot;
using sfumato::testing::TemporaryFolder;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// How dark a pixel is: 0 white, 1 black (the red channel).
double darkness(const Tensor& pixels, int64_t y, int64_t x) {
  return 1 - pixels.data<uint8_t>()[(y * pixels.size(1) + x) * 3] / 255.0;
}

double total_darkness(const Tensor& pixels) {
  double sum = 0;
  for (int64_t y = 0; y < pixels.size(0); ++y) {
    for (int64_t x = 0; x < pixels.size(1); ++x) sum += darkness(pixels, y, x);
  }
  return sum;
}

// `text` occurs so often in `in`.
size_t count(const std::string& in, const std::string& text) {
  size_t found = 0;
  for (size_t at = in.find(text); at != std::string::npos; at = in.find(text, at + text.size())) ++found;
  return found;
}

Figure example() {
  Figure figure{.title = "Title"};
  Panel& panel = figure.panels.emplace_back();
  panel.x.label = "x";
  panel.y.label = "q(xₜ)";
  panel.marks.emplace_back(HeatMap{.values = rand({4, 5}, "map"), .label = "value"});
  panel.marks.emplace_back(Area{.x = {0, 0.5, 1}, .y = {0.2, 0.9, 0.3}, .color = with_alpha(palette(1), 0.3)});
  panel.marks.emplace_back(Line{.x = {0, kNaN, 0.5, 1}, .y = {0, 0.5, 1, 0.5}, .color = palette(0), .label = "t = 0"});
  panel.marks.emplace_back(Points{.x = {0.1, 0.2, kNaN}, .y = {0.3, 0.4, 0.5}, .color = palette(2), .label = "dots"});
  return figure;
}

}  // namespace

TEST_CASE("ticks: round numbers inside the range, with the decimals that they need", "[diffusion][plot]") {
  const auto labels = [](double low, double high, int number) {
    std::string text;
    for (const Tick& tick : nice_ticks(low, high, number)) text += tick.label + " ";
    return text;
  };
  CHECK(labels(0, 1000, 5) == "0 200 400 600 800 1000 ");
  CHECK(labels(-1.1, 1.1, 4) == "−1.0 −0.5 0 0.5 1.0 ");
  CHECK(labels(0, 0.97, 5) == "0 0.2 0.4 0.6 0.8 ");
  CHECK(labels(-3.7, 3.5, 7) == "−3 −2 −1 0 1 2 3 ");
  CHECK(labels(0.00011, 0.00042, 3) == "0.0002 0.0003 0.0004 ");
  CHECK(labels(0, 5e7, 5) == "0 1e+07 2e+07 3e+07 4e+07 5e+07 ");
  CHECK(labels(1, 1, 5).empty());
  CHECK(labels(2, 1, 5).empty());
  CHECK(labels(kNaN, 1, 5).empty());
  CHECK(labels(-std::numeric_limits<double>::max(), std::numeric_limits<double>::max(), 5).empty());
}

TEST_CASE("raster: a polygon covers exactly its area", "[diffusion][plot]") {
  RasterCanvas square(8, 8);
  const Point corners[] = {{2.5, 2}, {5, 2}, {5, 4.25}, {2.5, 4.25}};
  square.polygon(corners, hex(0x000000));
  const Tensor pixels = square.pixels();
  CHECK(darkness(pixels, 2, 2) == Approx(0.5).margin(0.003));
  CHECK(darkness(pixels, 3, 3) == 1);
  CHECK(darkness(pixels, 4, 3) == Approx(0.25).margin(0.003));
  CHECK(darkness(pixels, 4, 2) == Approx(0.125).margin(0.003));
  CHECK(darkness(pixels, 3, 5) == 0);
  CHECK(total_darkness(pixels) == Approx(2.5 * 2.25).margin(0.02));

  for (const bool turned : {false, true}) {  // either way round, and with parts outside of the sheet
    RasterCanvas sheet(40, 30, 2);
    std::vector<Point> triangle{{3.3, 2.7}, {36.1, 11.2}, {8.9, 27.5}};
    if (turned) std::reverse(triangle.begin(), triangle.end());
    sheet.polygon(triangle, hex(0x000000));
    const double area = 0.5 * std::abs((36.1 - 3.3) * (27.5 - 2.7) - (8.9 - 3.3) * (11.2 - 2.7));
    CHECK(total_darkness(sheet.pixels()) == Approx(4 * area).epsilon(1e-3));
  }
  RasterCanvas half(10, 10);
  const Point wide[] = {{-50, -50}, {5.5, -50}, {5.5, 60}, {-50, 60}};
  half.polygon(wide, hex(0x000000));
  CHECK(total_darkness(half.pixels()) == Approx(55).margin(0.05));
}

TEST_CASE("raster: lines and discs have their width, ends and strength", "[diffusion][plot]") {
  RasterCanvas line(20, 10);
  const Point ends[] = {{-5, 4}, {25, 4}};
  line.polyline(ends, {.color = hex(0x000000), .width = 2});
  CHECK(darkness(line.pixels(), 2, 9) == 0);
  CHECK(darkness(line.pixels(), 3, 9) == 1);
  CHECK(darkness(line.pixels(), 4, 9) == 1);
  CHECK(darkness(line.pixels(), 5, 9) == 0);

  RasterCanvas thin(20, 10);  // thinner than a pixel: paler
  thin.polyline(ends, {.color = hex(0x000000), .width = 0.25});
  CHECK(total_darkness(thin.pixels()) == Approx(20 * 0.25).epsilon(0.02));

  RasterCanvas disc(40, 40);
  const Point centers[] = {{20.3, 19.8}, {kNaN, 3}};
  disc.discs(centers, 9, hex(0x000000));
  CHECK(total_darkness(disc.pixels()) == Approx(M_PI * 81).epsilon(0.01));

  RasterCanvas smoke(4, 4);  // transparent colours add up: 1 - 0.5²
  const Point twice[] = {{2, 2}, {2, 2}};
  smoke.discs(twice, 5, hex(0x000000, 0.5));
  CHECK(darkness(smoke.pixels(), 2, 2) == Approx(0.75).margin(0.003));

  RasterCanvas corner(10, 10);  // a stroke is one shape: where it crosses itself it is no darker
  const Point zigzag[] = {{1, 5}, {9, 5}, {5, 5}, {5, 1}, {5, 9}};
  corner.polyline(zigzag, {.color = hex(0x000000), .width = 0.5});
  CHECK(darkness(corner.pixels(), 5, 5) == Approx(darkness(corner.pixels(), 5, 8)).margin(0.003));
}

TEST_CASE("raster: a clip hides what is outside of it", "[diffusion][plot]") {
  RasterCanvas sheet(10, 10, 3);
  sheet.begin_clip({2, 3, 4, 5});
  const Point all[] = {{-1, -1}, {11, -1}, {11, 11}, {-1, 11}};
  sheet.polygon(all, hex(0x000000));
  sheet.end_clip();
  CHECK(total_darkness(sheet.pixels()) == 4 * 5 * 9);
  sheet.polygon(all, hex(0x000000));
  CHECK(total_darkness(sheet.pixels()) == 900);
}

TEST_CASE("raster: images are drawn pixel by pixel, unusable sheets and images are refused", "[diffusion][plot]") {
  RasterCanvas sheet(6, 4);
  sheet.image({1, 1, 4, 2}, tensor_of({10, 250}, {1, 2, 1}, DType::u8));
  const Tensor pixels = sheet.pixels();
  const auto at = [&](int64_t y, int64_t x) { return int{pixels.data<uint8_t>()[(y * 6 + x) * 3 + 1]}; };
  CHECK(at(0, 1) == 255);
  CHECK(at(1, 0) == 255);
  CHECK(at(1, 1) == 10);
  CHECK(at(2, 2) == 10);
  CHECK(at(1, 3) == 250);
  CHECK(at(2, 4) == 250);
  CHECK(at(2, 5) == 255);
  CHECK_THROWS_AS(sheet.image({0, 0, 1, 1}, zeros({2, 2})), Error);
  CHECK_THROWS_AS(RasterCanvas(0, 10), Error);
  CHECK_THROWS_AS(RasterCanvas(1e6, 1e6), Error);
  CHECK_THROWS_AS(RasterCanvas(kNaN, 10), Error);
}

TEST_CASE("font: every letter is a drawing inside its box", "[diffusion][plot]") {
  for (char32_t c = 33; c < 127; ++c) {
    const std::string letter(1, static_cast<char>(c));
    CAPTURE(letter);
    CHECK(std::any_of(std::begin(plot::detail::kGlyphs), std::end(plot::detail::kGlyphs),
                      [&](const auto& glyph) { return glyph.letter == c; }));
  }
  for (const char* text : {"A", "g", "0", "Q", "@", "&", "{", "ᾱ", "μ", "√", "∞", "W", "j", "f"}) {
    CAPTURE(text);
    const auto strokes = text_strokes(text, 10);
    REQUIRE(!strokes.empty());
    const double width = text_width(text, 10);
    for (const GlyphStroke& stroke : strokes) {
      CHECK(stroke.pen > 0);
      for (const Point& p : stroke.points) {
        CHECK((p.x > -2.0 && p.x < width + 0.6));
        CHECK((p.y > -8.2 && p.y < 2.5));
      }
    }
  }
  for (size_t i = 0; i < std::size(plot::detail::kGlyphs); ++i) {
    for (size_t k = 0; k < i; ++k) CHECK(plot::detail::kGlyphs[i].letter != plot::detail::kGlyphs[k].letter);
  }
}

TEST_CASE("font: scripts are small and shifted, bad UTF-8 is a box", "[diffusion][plot]") {
  const auto runs = text_runs("xₜ = 10⁻³!");
  REQUIRE(runs.size() == 5);
  CHECK(runs[1].text == "t");
  CHECK(runs[1].level == -1);
  CHECK(runs[3].text == "−3");
  CHECK(runs[3].level == 1);
  CHECK(runs[4].text == "!");
  CHECK(text_width("ₜ", 10) == Approx(kScriptSize * text_width("t", 10)));
  CHECK(text_width("ab", 20) == Approx(2 * text_width("ab", 10)));
  CHECK(text_width("", 10) == 0);
  const double box = text_width("\xff", 10);
  CHECK(box == Approx(plot::detail::kBoxWidth));
  for (const char* bad : {"\x80", "\xed\xa0\x80", "\xc0\x80", "\xf8", "\xe2\x82", "\xf4\x90\x80\x80"}) {
    CAPTURE(bad);
    CHECK(text_width(bad, 10) >= box);
    for (const TextRun& run : text_runs(bad)) CHECK(run.text.find("\xef\xbf\xbd") == 0);  // what is kept is UTF-8
  }
}

TEST_CASE("svg: well-formed, escaped, with what was drawn", "[diffusion][plot]") {
  Figure figure = example();
  figure.title =
      "a < b & \x01"
      "c";
  const std::string svg = to_svg(figure);
  CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  CHECK(svg.ends_with("</svg>\n"));
  CHECK(svg.find("a &lt; b &amp;  c") != std::string::npos);
  CHECK(svg.find("nan") == std::string::npos);
  CHECK(count(svg, "<circle") == 3);  // two points and one in the legend
  CHECK(count(svg, "<image") == 2);   // the map and its scale
  CHECK(count(svg, ">t = 0<") == 1);
  for (const char* tag : {"g", "text", "tspan", "clipPath", "svg"}) {
    CAPTURE(tag);
    const size_t opened = count(svg, std::string("<") + tag + " ") + count(svg, std::string("<") + tag + ">");
    CHECK(opened == count(svg, std::string("</") + tag + ">"));
  }
  // A line is interrupted where a point is not finite: two pieces begin.
  const size_t line = svg.find("stroke=\"#2f6690\"");
  const size_t path = svg.rfind("<path", line);
  CHECK(count(svg.substr(path, line - path), "M") == 2);
}

TEST_CASE("figure: equal input gives equal bytes", "[diffusion][plot]") {
  const TemporaryFolder folder;
  for (const char* name : {"a.svg", "b.svg", "a.png", "b.png"}) save_figure(folder / name, example());
  CHECK((read_file(folder / "a.svg", 1 << 22) == read_file(folder / "b.svg", 1 << 22)));
  CHECK((read_file(folder / "a.png", 1 << 22) == read_file(folder / "b.png", 1 << 22)));
  CHECK(read_file(folder / "a.png", 1 << 22).substr(1, 3) == "PNG");
}

TEST_CASE("figure: the scale changes pixels, not the picture", "[diffusion][plot]") {
  const FigureSize size = size_of(example());
  const Tensor small = to_pixels(example(), 1), large = to_pixels(example(), 3);
  CHECK(small.size(1) == static_cast<int64_t>(std::ceil(size.width)));
  CHECK(large.size(1) == static_cast<int64_t>(std::ceil(3 * size.width)));
  CHECK(total_darkness(large) == Approx(9 * total_darkness(small)).epsilon(0.01));
}

TEST_CASE("figure: what cannot be drawn is refused and leaves no file", "[diffusion][plot]") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(save_figure(folder / "x.gif", example()), Error);
  CHECK_THROWS_AS(save_figure(folder / "x.svg", Figure{}), Error);
  Figure figure = example();
  figure.panels[0].marks.emplace_back(Line{.x = {1, 2}, .y = {1}});
  CHECK_THROWS_AS(save_figure(folder / "x.svg", figure), Error);
  figure = example();
  figure.panels[0].x.range = {1, 1};
  CHECK_THROWS_AS(save_figure(folder / "x.png", figure), Error);
  figure = example();
  figure.panels[0].marks.emplace_back(HeatMap{.values = zeros({3})});
  CHECK_THROWS_AS(save_figure(folder / "x.png", figure), Error);
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK_THROWS_AS(save_figure(folder / "no/x.svg", example()), IoError);
}

TEST_CASE("figure: no values, one value and huge values have axes", "[diffusion][plot]") {
  for (const std::vector<double>& values :
       {std::vector<double>{}, {kNaN}, {3}, {0, 0}, {-1e300, 1e300}, {1e-300, 2e-300}, {1e15, 1e15 + 1}}) {
    Figure figure;
    figure.panels.emplace_back().marks.emplace_back(Line{.x = values, .y = values});
    const auto layout = plot::detail::lay_out(figure).panels[0];
    CHECK(layout.x.low < layout.x.high);
    CHECK(layout.y.low < layout.y.high);
    CHECK(to_pixels(figure, 1).numel() > 0);
    CHECK(!to_svg(figure).empty());
  }
}

TEST_CASE("figure: a heat map's first row is at the bottom", "[diffusion][plot]") {
  Figure figure;
  Panel& panel = figure.panels.emplace_back();
  panel.marks.emplace_back(HeatMap{.values = tensor_of({0, 0, 1, 0.5}, {2, 2}, DType::f64)});
  const Tensor pixels = to_pixels(figure, 1);
  const Rect area = plot::detail::lay_out(figure).panels[0].area;
  const auto at = [&](double u, double v) {  // shares of the area, from the lower left
    return darkness(pixels, static_cast<int64_t>(area.bottom() - v * area.height),
                    static_cast<int64_t>(area.x + u * area.width));
  };
  const auto expected = [](double u) { return 1 - sequential_color(u).red / 255.0; };
  CHECK(at(0.25, 0.25) == Approx(expected(0)).margin(0.01));
  CHECK(at(0.25, 0.75) == Approx(expected(1)).margin(0.01));
  CHECK(at(0.75, 0.75) == Approx(expected(0.5)).margin(0.01));
}

TEST_CASE("scatter: equal axes for all sets; points outside are counted", "[diffusion][plot]") {
  Tensor data = randn({5000, 2}, "data"), wide = randn({5000, 2}, "samples");
  wide.mutable_data<float>()[7] = 1e6f;
  wide.mutable_data<float>()[11] = static_cast<float>(kNaN);
  const Figure figure = scatter_figure("two", {{"data", data}, {"samples", wide}});
  REQUIRE(figure.panels.size() == 2);
  const auto x = *figure.panels[0].x.range, y = *figure.panels[0].y.range;
  CHECK(x == *figure.panels[1].x.range);
  CHECK(y == *figure.panels[1].y.range);
  CHECK(x.second - x.first == Approx(y.second - y.first));
  CHECK(figure.panel_width == figure.panel_height);
  CHECK((x.first < -2.5 && x.first > -5 && x.second > 2.5 && x.second < 5));  // the outlier does not shrink the rest
  size_t outside = 0;
  for (int64_t n = 0; n < 5000; ++n) {
    const double px = wide.data<float>()[2 * n], py = wide.data<float>()[2 * n + 1];
    outside += px >= x.first && px <= x.second && py >= y.first && py <= y.second ? 0 : 1;
  }
  CHECK(outside >= 2);
  CHECK(figure.panels[1].note == std::to_string(outside) + " of 5000 outside");
  CHECK_THROWS_AS(scatter_figure("", {{"data", zeros({3, 3})}}), Error);
  CHECK_THROWS_AS(scatter_figure("", {{"data", zeros({3, 2}, DType::i64)}}), Error);
  CHECK(to_pixels(scatter_figure("", {{"none", zeros({0, 2})}}), 1).numel() > 0);
  CHECK(to_pixels(scatter_figure("", {{"same", full({9, 2}, 3.0)}}), 1).numel() > 0);
}

TEST_CASE("strip: every pixel of an image stands in the picture", "[diffusion][plot]") {
  for (const int64_t channels : {1, 3}) {
    const Tensor x_t = rand({3, 2, channels, 5, 7}, "strip") * 2.0 - 1.0;
    const std::vector<StripLine> head{{"t", {"0", "1", "2"}}, {"ᾱₜ", {"1", "0.5", "0"}}};
    const Tensor pixels = strip_pixels(x_t, head);
    const int64_t zoom = strip_zoom(7);
    CHECK(zoom * 7 >= 72);
    size_t wrong = 0;
    for (int64_t k = 0; k < 3; ++k) {
      for (int64_t n = 0; n < 2; ++n) {
        const auto [top, left] = strip_position(x_t, head, k, n);
        for (int64_t y = 0; y < 5 * zoom; ++y) {
          for (int64_t x = 0; x < 7 * zoom; ++x) {
            for (int64_t c = 0; c < 3; ++c) {
              const int64_t source = (((k * 2 + n) * channels + c % channels) * 5 + y / zoom) * 7 + x / zoom;
              const auto expected = static_cast<int>(std::lround((x_t.data<float>()[source] + 1.0f) * 127.5f));
              wrong += pixels.data<uint8_t>()[((top + y) * pixels.size(1) + left + x) * 3 + c] == expected ? 0 : 1;
            }
          }
        }
      }
    }
    CHECK(wrong == 0);
  }
  const TemporaryFolder folder;
  const Tensor x_t = zeros({2, 1, 1, 4, 4});
  CHECK_THROWS_AS(save_strip(folder / "x.png", x_t, {{"t", {"0"}}}), Error);
  CHECK_THROWS_AS(save_strip(folder / "x.png", zeros({2, 1, 2, 4, 4}), {}), Error);
  CHECK_THROWS_AS(save_strip(folder / "x.gif", x_t, {}), Error);
  CHECK(std::filesystem::is_empty(folder.path()));
  save_strip(folder / "x.svg", x_t, {});
  CHECK(count(read_file(folder / "x.svg", 1 << 20), "<image") == 2);
}

TEST_CASE("densities: the figure has the curves and the map that were asked for", "[diffusion][plot]") {
  const GaussianMixture data = GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3");
  const NoiseSchedule schedule = linear_schedule(50);
  const std::vector<int64_t> times{0, 10, 50};
  const Figure both = density_figure(data, schedule, times, {.trajectories = 4});
  REQUIRE(both.panels.size() == 2);
  const auto* curve = std::get_if<Line>(&both.panels[0].marks[3]);  // an area and a line for each time
  REQUIRE(curve != nullptr);
  CHECK(curve->label == "t = 10");
  const GaussianMixture at_10 = data.diffused(schedule.level(9));
  for (const size_t i : {0u, 250u, 400u}) CHECK(curve->y[i] == Approx(at_10.density(curve->x[i])));
  CHECK(both.panels[1].marks.size() == 5);
  const auto* map = std::get_if<HeatMap>(&both.panels[1].marks[0]);
  REQUIRE(map != nullptr);
  CHECK(map->values.size(1) == 51);  // every t
  CHECK(density_figure(data, schedule, times, {.view = DensityView::curves}).panels.size() == 1);
  CHECK(density_figure(data, schedule, times, {.view = DensityView::map, .trajectories = 0}).panels[0].marks.size() ==
        1);
  const std::vector<int64_t> late{51};
  CHECK_THROWS_AS(density_figure(data, schedule, late), Error);
}
