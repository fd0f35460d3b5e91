// How images are cut into tiles for Winograd's transforms, and the way between NCHW and vectors of channels.
//
// An image has ceil(H/4) x ceil(W/4) output tiles of 4x4 pixels; the input tile of each is the 6x6 pixels around it.
// A strip is a run of up to kStripTiles neighbouring tiles of one tile row: the unit that is transposed from NCHW into
// a patch (rows x columns x kLanes channels, small enough for L1), so that tiles share their columns. A block is a run
// of consecutive strips, about as many tiles as one matrix product should have; blocks are the unit of work.
//
//     const Tiling tiling(shape.batch, height, width, /*tiles_per_block=*/32);
//     for (int64_t s = tiling.first_strip(block); s < tiling.first_strip(block + 1); ++s) {
//       const Strip strip = tiling.strip(s);
//       transform_input_strip({first_plane_of(strip.image), height, width, channels}, strip, v, coefficient_stride);
//       v += strip.tiles * kLanes;
//     }
//
// Transformed tiles of one coefficient are stored as [channel / kLanes][tile][kLanes].
#pragma once

#include "tensor/backend/fast/winograd_transforms.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

constexpr int kStripTiles = 8;
constexpr int kPatchColumns = kOutputTile * kStripTiles + 2;

constexpr int64_t tiles_in_image(int64_t height, int64_t width) {
  return ceil_div<int64_t>(height, kOutputTile) * ceil_div<int64_t>(width, kOutputTile);
}

struct Strip {
  int64_t image;
  int64_t y, x;  // upper left pixel of the first output tile
  int tiles;
};

struct Tiling {
  int64_t height, width;
  int64_t tile_rows, tile_columns;
  int64_t strips_per_row, strip_tiles;
  int64_t strips, strips_per_block, blocks;

  Tiling(int64_t batch, int64_t image_height, int64_t image_width, int64_t tiles_per_block)
      : height(image_height), width(image_width) {
    tile_rows = ceil_div<int64_t>(height, kOutputTile);
    tile_columns = ceil_div<int64_t>(width, kOutputTile);
    strips_per_row = larger<int64_t>(ceil_div<int64_t>(tile_columns, kStripTiles), 1);
    strip_tiles = larger<int64_t>(ceil_div(tile_columns, strips_per_row), 1);
    strips_per_row = larger<int64_t>(ceil_div(tile_columns, strip_tiles), 1);
    strips = tile_columns == 0 ? 0 : batch * tile_rows * strips_per_row;
    strips_per_block = smaller(larger<int64_t>(tiles_per_block / strip_tiles, 1), larger<int64_t>(strips, 1));
    blocks = ceil_div(strips, strips_per_block);
  }

  int64_t block_capacity() const { return strips_per_block * strip_tiles; }  // tiles
  int64_t first_strip(int64_t block) const { return smaller(block * strips_per_block, strips); }

  Strip strip(int64_t index) const {
    const int64_t first_tile = index % strips_per_row * strip_tiles;
    const int64_t row = index / strips_per_row;
    return {row / tile_rows, row % tile_rows * kOutputTile, first_tile * kOutputTile,
            static_cast<int>(smaller(strip_tiles, tile_columns - first_tile))};
  }

  int64_t tiles_in_block(int64_t block) const {
    int64_t tiles = 0;
    for (int64_t s = first_strip(block); s < first_strip(block + 1); ++s) tiles += strip(s).tiles;
    return tiles;
  }
};

// A piece of an image, kLanes channels deep. Rows are filled in ascending order, each by whole vectors of pixels that
// may run over into the next, hence the slack at the end.
struct alignas(64) Patch {
  float pixels[(kInputTile * kPatchColumns + kLanes) * kLanes];

  float* at(int row, int64_t column) { return pixels + (row * kPatchColumns + column) * kLanes; }
  void clear(int row, int64_t first_column, int64_t last_column) {
    for (int64_t i = first_column; i < last_column; ++i) store(at(row, i), Vec{});
  }
};

// kLanes neighbouring planes (channels) of one image; only the first `count` exist.
struct Planes {
  const float* data;
  int64_t height, width;
  int count;
};

// Columns x ... x + columns of image row y into a patch row; what lies outside the image is zero.
inline void load_patch_row(Patch& patch, int row, const Planes& planes, int64_t y, int64_t x, int64_t columns) {
  if (y < 0 || y >= planes.height) return patch.clear(row, 0, columns);
  const int64_t begin = larger<int64_t>(x, 0), end = smaller(x + columns, planes.width);
  for (int64_t i = begin; i < end; i += kLanes) {
    Vec pixels[kLanes];
    load_transposed(planes.data + y * planes.width + i, planes.height * planes.width, planes.count,
                    static_cast<int>(smaller<int64_t>(end - i, kLanes)), pixels);
    float* to = patch.at(row, i - x);
#pragma GCC unroll 16
    for (int p = 0; p < kLanes; ++p) store(to + p * kLanes, pixels[p]);
  }
  patch.clear(row, 0, begin - x);
  patch.clear(row, larger<int64_t>(end - x, 0), columns);
}

template <int Inputs, class Column>
inline Column load_column(const float* from, int64_t stride) {
  Column column;
#pragma GCC unroll 6
  for (int i = 0; i < Inputs; ++i) column.at[i] = load(from + i * stride);
  return column;
}

template <int Outputs, class Column>
inline void store_column(float* to, int64_t stride, const Column& column) {
#pragma GCC unroll 6
  for (int i = 0; i < Outputs; ++i) store(to + i * stride, column.at[i]);
}

constexpr int64_t kPatchStride = kPatchColumns * kLanes;

// B^T d B of every tile of the strip; coefficient i of tile t goes to `to + i * coefficient_stride + t * kLanes`.
inline void transform_input_strip(const Planes& planes, const Strip& strip, float* to, int64_t coefficient_stride) {
  Patch patch;
  const int64_t columns = strip.tiles * kOutputTile + 2;
  for (int row = 0; row < kInputTile; ++row)
    load_patch_row(patch, row, planes, strip.y - 1 + row, strip.x - 1, columns);
  for (int64_t i = 0; i < columns; ++i)
    store_column<kInputTile>(patch.at(0, i), kPatchStride,
                             transform_input(load_column<kInputTile, InputColumn>(patch.at(0, i), kPatchStride)));
  for (int tile = 0; tile < strip.tiles; ++tile, to += kLanes)
    for (int row = 0; row < kInputTile; ++row)
      store_column<kInputTile>(
          to + row * kInputTile * coefficient_stride, coefficient_stride,
          transform_input(load_column<kInputTile, InputColumn>(patch.at(row, tile * kOutputTile), kLanes)));
}

// A dY A^T of every tile of the strip, to the same places.
inline void transform_output_gradient_strip(const Planes& planes,
                                            const Strip& strip,
                                            float* to,
                                            int64_t coefficient_stride) {
  Patch patch;
  const int64_t columns = strip.tiles * kOutputTile;
  for (int row = 0; row < kOutputTile; ++row) load_patch_row(patch, row, planes, strip.y + row, strip.x, columns);
  for (int64_t i = 0; i < columns; ++i)
    store_column<kInputTile>(
        patch.at(0, i), kPatchStride,
        transform_output_gradient(load_column<kOutputTile, OutputColumn>(patch.at(0, i), kPatchStride)));
  for (int tile = 0; tile < strip.tiles; ++tile, to += kLanes)
    for (int row = 0; row < kInputTile; ++row)
      store_column<kInputTile>(
          to + row * kInputTile * coefficient_stride, coefficient_stride,
          transform_output_gradient(load_column<kOutputTile, OutputColumn>(patch.at(row, tile * kOutputTile), kLanes)));
}

// A^T m A + bias of every tile of the strip, written to kLanes planes of y of which the first `channels` exist.
inline void transform_output_strip(const float* from,
                                   int64_t coefficient_stride,
                                   Vec bias,
                                   const Strip& strip,
                                   float* planes,
                                   int64_t height,
                                   int64_t width,
                                   int channels) {
  Patch patch;
  for (int tile = 0; tile < strip.tiles; ++tile, from += kLanes) {
    OutputColumn rows[kInputTile];
#pragma GCC unroll 6
    for (int i = 0; i < kInputTile; ++i)
      rows[i] = transform_output(
          load_column<kInputTile, InputColumn>(from + i * coefficient_stride, kInputTile * coefficient_stride));
#pragma GCC unroll 4
    for (int row = 0; row < kOutputTile; ++row) {
      InputColumn m;
#pragma GCC unroll 6
      for (int i = 0; i < kInputTile; ++i) m.at[i] = rows[i].at[row];
      OutputColumn pixels = transform_output(m);
#pragma GCC unroll 4
      for (int i = 0; i < kOutputTile; ++i) pixels.at[i] += bias;
      store_column<kOutputTile>(patch.at(row, tile * kOutputTile), kLanes, pixels);
    }
  }
  const int64_t rows = smaller<int64_t>(height - strip.y, kOutputTile);
  const int64_t columns = smaller<int64_t>(width - strip.x, strip.tiles * kOutputTile);
  for (int row = 0; row < rows; ++row)
    for (int64_t i = 0; i < columns; i += kLanes) {
      Vec pixels[kLanes];
#pragma GCC unroll 16
      for (int p = 0; p < kLanes; ++p) pixels[p] = load(patch.at(row, i) + p * kLanes);
      store_transposed(pixels, planes + (strip.y + row) * width + strip.x + i, height * width, channels,
                       static_cast<int>(smaller<int64_t>(columns - i, kLanes)));
    }
}

}  // namespace
}  // namespace sfumato::fast::SFUMATO_ISA
