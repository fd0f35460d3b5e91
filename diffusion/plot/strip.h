// The noising strip: a row for each image, a column for each time, and what is said above the columns.
//
//   save_strip("strip.png", x_t, {{"t", {"0", "500", "1000"}}, {"ᾱₜ", {"1", "0.079", "0.00004"}}});
//
// Every image pixel becomes a square of whole pixels without smoothing, so the picture holds the values themselves: in
// [-1, 1] as "diffusion/image/png.h" maps them, beyond it clamped.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "diffusion/plot/canvas.h"

namespace sfumato::plot {

// One line of the head: its name at the left and an entry for each column.
struct StripLine {
  std::string name;
  std::vector<std::string> entries;
};

// Pixels per image pixel such that a column has room for its entries: at least 72 of them.
int64_t strip_zoom(int64_t image_width);
// x_t: f32 (columns, rows, C, H, W), C = 1 or 3. Returns u8 (H', W', 3). Throws Error for other shapes, for lines whose
// entries are not one per column, and for pictures too large.
Tensor strip_pixels(const Tensor& x_t, const std::vector<StripLine>& head);
// The upper left pixel of an image in strip_pixels().
struct StripPosition {
  int64_t top, left;
};
StripPosition strip_position(const Tensor& x_t, const std::vector<StripLine>& head, int64_t column, int64_t row);
// .png or .svg, written durably. Throws also IoError.
void save_strip(const std::filesystem::path& path, const Tensor& x_t, const std::vector<StripLine>& head);

}  // namespace sfumato::plot
