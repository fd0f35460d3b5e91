#include "diffusion/plot/strip.h"

#include <algorithm>
#include <cmath>

#include "diffusion/image/png.h"
#include "diffusion/plot/font.h"
#include "diffusion/plot/raster_canvas.h"
#include "diffusion/plot/svg_canvas.h"
#include "tensor/io/file.h"
#include "tensor/ops/view.h"

namespace sfumato::plot {
namespace {

// All lengths are pixels of the PNG.
constexpr int64_t kMargin = 16, kGap = 4, kLineHeight = 28;
constexpr double kTextSize = 20;
constexpr int64_t kLeastColumn = 72;

struct StripLayout {
  int64_t zoom, left, top, step_x, step_y, width, height;

  StripLayout(const Tensor& x_t, const std::vector<StripLine>& head) {
    check(x_t.defined() && x_t.dim() == 5 && x_t.dtype() == DType::f32 && x_t.numel() > 0 &&
              (x_t.size(2) == 1 || x_t.size(2) == 3),
          "strip: images must be f32 (columns, rows, 1 or 3, H, W), got ", x_t.dtype(), " ", x_t.shape());
    zoom = strip_zoom(x_t.size(4));
    step_x = zoom * x_t.size(4) + kGap;
    step_y = zoom * x_t.size(3) + kGap;
    double names = 0;
    for (const StripLine& line : head) {
      check(line.entries.size() == static_cast<size_t>(x_t.size(0)), "strip: the line '", line.name, "' has ",
            line.entries.size(), " entries for ", x_t.size(0), " columns");
      names = std::max(names, text_width(line.name, kTextSize));
    }
    left = kMargin + (head.empty() ? 0 : static_cast<int64_t>(std::ceil(names)) + kMargin);
    top = kMargin + kLineHeight * static_cast<int64_t>(head.size());
    width = left + step_x * x_t.size(0) - kGap + kMargin;
    height = top + step_y * x_t.size(1) - kGap + kMargin;
  }
};

void draw_strip(const Tensor& x_t, const std::vector<StripLine>& head, const StripLayout& layout, Canvas& canvas) {
  double y = kMargin + 0.7 * kTextSize;
  const auto image_width = static_cast<double>(layout.zoom * x_t.size(4));
  const auto image_height = static_cast<double>(layout.zoom * x_t.size(3));
  for (const StripLine& line : head) {
    canvas.text({kMargin, y}, line.name, {.size = kTextSize, .color = hex(0x777777)});
    for (size_t k = 0; k < line.entries.size(); ++k) {
      const auto x = static_cast<double>(layout.left + layout.step_x * static_cast<int64_t>(k)) + image_width / 2;
      canvas.text({x, y}, line.entries[k], {.size = kTextSize, .anchor = Anchor::middle});
    }
    y += kLineHeight;
  }
  for (int64_t k = 0; k < x_t.size(0); ++k) {
    for (int64_t n = 0; n < x_t.size(1); ++n) {
      const Tensor image = image_grid(narrow(select(x_t, 0, k), 0, n, 1), 1, /*border=*/0);
      canvas.image({static_cast<double>(layout.left + k * layout.step_x),
                    static_cast<double>(layout.top + n * layout.step_y), image_width, image_height},
                   image);
    }
  }
}

}  // namespace

int64_t strip_zoom(int64_t image_width) {
  return std::max<int64_t>(1, (kLeastColumn + image_width - 1) / std::max<int64_t>(image_width, 1));
}

Tensor strip_pixels(const Tensor& x_t, const std::vector<StripLine>& head) {
  const StripLayout layout(x_t, head);
  RasterCanvas canvas(static_cast<double>(layout.width), static_cast<double>(layout.height));
  draw_strip(x_t, head, layout, canvas);
  return canvas.pixels();
}

StripPosition strip_position(const Tensor& x_t, const std::vector<StripLine>& head, int64_t column, int64_t row) {
  const StripLayout layout(x_t, head);
  return {layout.top + row * layout.step_y, layout.left + column * layout.step_x};
}

void save_strip(const std::filesystem::path& path, const Tensor& x_t, const std::vector<StripLine>& head) {
  const std::string ending = path.extension().string();
  check(ending == ".svg" || ending == ".png", "strip: ", path.string(), " must end in .svg or .png");
  if (ending == ".png") {
    write_png(path, strip_pixels(x_t, head));
    return;
  }
  const StripLayout layout(x_t, head);
  SvgCanvas canvas(static_cast<double>(layout.width), static_cast<double>(layout.height));
  draw_strip(x_t, head, layout, canvas);
  write_file_durably(path, canvas.finish());
}

}  // namespace sfumato::plot
