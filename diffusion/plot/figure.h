// Figures: panels with axes, lines, filled areas, points, heat maps and a legend, saved as SVG or PNG.
//
//   Figure figure{.title = "Marginals"};
//   Panel& panel = figure.panels.emplace_back();
//   panel.x.label = "x";
//   panel.marks.emplace_back(Line{.x = xs, .y = ys, .color = palette(0), .label = "t = 0"});
//   save_figure("marginals.svg", figure);
//   save_figure("scatter.png", scatter_figure("Swiss roll", {{"data", data}, {"samples", samples}}));
//
// Every panel of a figure has the same size. Numbers that are not finite are left out: a picture of a run that diverged
// can still be drawn. Equal figures give equal bytes; no fonts are needed.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "diffusion/plot/canvas.h"
#include "diffusion/plot/ticks.h"
#include "tensor/tensor.h"

namespace sfumato::plot {

// A line through (x[i], y[i]).
struct Line {
  std::vector<double> x = {}, y = {};
  Color color = {};
  double width = 1.5;
  std::string label = "";  // in the legend; empty: not there
};

// The area between y = low and (x[i], y[i]).
struct Area {
  std::vector<double> x = {}, y = {};
  double low = 0;
  Color color = {};
};

// Discs at (x[i], y[i]), their radius in the figure's units (1/96 inch).
struct Points {
  std::vector<double> x = {}, y = {};
  Color color = {};
  double radius = 1.5;
  std::string label = "";
};

// Values on a regular grid of cells, drawn with sequential_color(). `values` (rows, columns), f64 or f32, row 0 at the
// lowest y; low and high (value) are the ends of the colour scale. A label adds the scale at the right.
struct HeatMap {
  Tensor values = {};
  double x_low = 0, x_high = 1, y_low = 0, y_high = 1;
  double low = 0, high = 1;
  std::string label = "";
};

using Mark = std::variant<Line, Area, Points, HeatMap>;

struct Axis {
  std::string label = "";
  std::optional<std::pair<double, double>> range = {};  // otherwise what the marks need
  std::optional<std::vector<Tick>> ticks = {};          // otherwise round numbers
  bool show_numbers = true;
};

struct Panel {
  std::string title = "";
  Axis x = {}, y = {};
  std::vector<Mark> marks = {};  // later ones lie above
  std::string note = "";         // small, above the panel at its right
};

struct Figure {
  std::string title = "";
  std::vector<Panel> panels = {};
  int columns = 0;  // panels side by side; 0: all
  double panel_width = 300, panel_height = 240;
};

struct FigureSize {
  double width, height;
};
FigureSize size_of(const Figure& figure);
// Throws Error when x and y of a mark differ in length, a range is empty, or there is no panel.
void draw(const Figure& figure, Canvas& canvas);

std::string to_svg(const Figure& figure);
// u8 (H, W, 3), `scale` pixels per unit.
Tensor to_pixels(const Figure& figure, double scale = 2);

// By the ending: .svg or .png (`scale` pixels per unit). Written durably. Throws Error for another ending and as draw()
// does, IoError when the file cannot be written.
void save_figure(const std::filesystem::path& path, const Figure& figure, double scale = 2);

// Sets of points (N, 2), f32 or f64, each in a panel of its own on equal axes, so that they can be compared. The axes
// hold the central 99.8 % of every set; what lies outside is counted in a note. Throws Error for other shapes.
struct ScatterOptions {
  int columns = 0;         // panels side by side; 0: all
  bool one_color = false;  // for one set seen several times; otherwise each set has its own
};
Figure scatter_figure(const std::string& title,
                      const std::vector<std::pair<std::string, Tensor>>& sets,
                      const ScatterOptions& options = {});

// Colours that go together: 0 blue, 1 red, 2 teal, 3 amber, 4 violet, 5 grey, and again from the beginning.
Color palette(size_t index);
// From pale to dark as `u` goes from 0 to 1: for quantities.
Color sequential_color(double u);
// From deep blue over violet to amber as `u` goes from 0 to 1: for lines in an order, such as times.
Color ordered_color(double u);

}  // namespace sfumato::plot
