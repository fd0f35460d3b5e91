// Pictures of samples: PNG files, and grids of many small images.
//
//   save_image_grid("samples/step-1000.png", samples);          // f32 (N, C, H, W) in [-1, 1]
//   write_png("one.png", pixels);                               // u8 (H, W, C)
//
// Equal pixels give equal bytes for the same libpng and zlib: settings are fixed and no time is stored. Files are
// written durably ("tensor/io/file.h").
#pragma once

#include <filesystem>
#include <string>

#include "tensor/tensor.h"

namespace sfumato {

// `pixels`: u8 (H, W, C), C = 1 grey or 3 red-green-blue. Throws Error for anything else.
std::string encode_png(const Tensor& pixels);

// Throws as encode_png does, and IoError when the file cannot be written.
void write_png(const std::filesystem::path& path, const Tensor& pixels);

// Places f32 images (N, C, H, W) row by row on a grid, `border` black pixels around each, and returns it as u8 (H', W',
// C). Values map by round((x + 1) * 127.5), clamped to 0..255; NaN becomes 0. `columns` 0 means ceil(sqrt(N)). Throws
// Error unless N > 0 and C is 1 or 3.
Tensor image_grid(const Tensor& samples, int64_t columns = 0, int64_t border = 2);

// image_grid() and write_png().
void save_image_grid(const std::filesystem::path& path, const Tensor& samples, int64_t columns = 0);

}  // namespace sfumato
