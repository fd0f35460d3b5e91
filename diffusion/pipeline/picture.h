// One picture of many samples: a grid of images, or a scatter plot of points in the plane.
//
//   save_picture("grid.png", draw_samples(pipeline, {.num = 64}));
//   save_picture("points.svg", draw_samples(mlp_pipeline, {.num = 2000}), dataset.get());     // data beside samples
#pragma once

#include <filesystem>

#include "nn/data/dataset.h"
#include "tensor/tensor.h"

namespace sfumato {

// Whether samples of this shape, (C, H, W) or (2), can be drawn to this path: throws Error as save_picture() would.
void check_picture(const std::filesystem::path& path, const Shape& sample);

// `samples`: f32 (N, C, H, W) with C 1 or 3, as PNG; or (N, 2), as PNG or SVG by the path's ending, beside as many
// points of `data` when it is given. `columns`: of the images, 0 for a square grid. Throws Error for other shapes or
// endings, and IoError.
void save_picture(const std::filesystem::path& path,
                  const Tensor& samples,
                  const Dataset* data = nullptr,
                  int64_t columns = 0);

}  // namespace sfumato
