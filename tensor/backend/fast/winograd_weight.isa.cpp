// Winograd convolution, weight gradient: dU[k][c] = sum over tiles of (A dY A^T)[tile][k] (B^T d B)[tile][c] for each
// of the 36 coefficients, then dg = G^T dU G.
//
// Two schedules, chosen by the shape:
//
// By tiles. The tiles are divided into ranges, each with a dU of its own (as many ranges as keep all of them within a
// few megabytes: many for narrow layers, one for wide ones), and dU, if there are more threads than ranges, into slices
// by channels. A task is one range and one slice, and runs without barriers: block by block of 64 tiles it transforms
// its channels of x and dy, then runs the 36 products. dU is read and written once per block, 64 tiles making 16 flops
// of every byte of it. At the end the ranges are added in order.
//
// By channels, for wide layers of few tiles, where dU (4 times the weights) would be most of the traffic. x and dy are
// transformed first, for all threads. Then a task is one slice of 64 by 48 channels, small enough that its dU stays in
// L2 (440 KB) until it has become dg.
//
// Each block's sums start from zero and are added to dU, which keeps the rounding error of the long sum over all tiles
// small. Ranges and blocks depend on the shape alone, and slices do not change the order of any sum, so the result does
// not depend on the number of threads.
#include <omp.h>

#include "tensor/backend/fast/winograd_gemm.h"
#include "tensor/backend/fast/winograd_kernels.h"
#include "tensor/backend/fast/winograd_tiles.h"
#include "tensor/backend/fast/winograd_weights.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

constexpr int64_t kTilesPerBlock = 64;
constexpr int64_t kSumBytes = 5 << 20;  // by tiles: of dU in all ranges together, unless one is larger
constexpr int64_t kMaxRanges = 16;
constexpr int64_t kBlocksPerRange = 3;                // by tiles: at least
constexpr int64_t kSliceInBlocks = kGradientVectors;  // by channels
constexpr int64_t kSliceOutBlocks = 64 / kLanes;

// Part `index` of `parts` nearly equal parts of `whole` begins here.
constexpr int64_t part_begin(int64_t whole, int64_t parts, int64_t index) { return whole * index / parts; }

// A run of channel blocks.
struct Slice {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// dU of some blocks of channels: per coefficient [out block][in block][kLanes k][kLanes c].
struct Sums {
  float* data;
  int64_t stride;  // between coefficients
  int64_t in_blocks;

  float* at(int coefficient, int64_t out_block, int64_t in_block) const {
    return data + coefficient * stride + (out_block * in_blocks + in_block) * kGradientBlock;
  }
};

struct GradientPlan {
  int64_t in_channels, out_channels;
  int64_t in_blocks, out_blocks;
  bool by_channels;
  Tiling tiling;
  int64_t ranges = 1;
  int64_t in_slices = 1, out_slices = 1;
  int64_t block_stride;                   // between channel blocks of V and Y
  int64_t v_stride, y_stride, du_stride;  // between coefficients
  int threads;

  GradientPlan(const WinogradShape& s, int max_threads)
      : in_channels(s.in_channels),
        out_channels(s.out_channels),
        in_blocks(ceil_div<int64_t>(in_channels, kLanes)),
        out_blocks(ceil_div<int64_t>(out_channels, kLanes)),
        by_channels(s.batch * tiles_in_image(s.height, s.width) * (in_channels + out_channels) <=
                    in_channels * out_channels),  // V and Y are not larger than dU
        tiling(s.batch, s.height, s.width, kTilesPerBlock),
        threads(max_threads) {
    if (by_channels) {
      in_slices = larger<int64_t>(ceil_div(in_blocks, kSliceInBlocks), 1);
      out_slices = larger<int64_t>(ceil_div(out_blocks, kSliceOutBlocks), 1);
      du_stride = coefficient_stride(slice_in_blocks() * slice_out_blocks() * kGradientBlock);
    } else {
      du_stride = coefficient_stride(in_blocks * out_blocks * kGradientBlock);
      choose_ranges();
      while (ranges * in_slices * out_slices < threads && slice_in_blocks() + slice_out_blocks() > 2)
        ++(slice_in_blocks() >= slice_out_blocks() ? in_slices : out_slices);
    }
    block_stride = tiling.block_capacity() * kLanes;
    v_stride = coefficient_stride((by_channels ? in_blocks : slice_in_blocks()) * block_stride);
    y_stride = coefficient_stride((by_channels ? out_blocks : slice_out_blocks()) * block_stride);
  }

  void choose_ranges() {
    const int64_t bytes = kCoefficients * du_stride * static_cast<int64_t>(sizeof(float));
    while (ranges < kMaxRanges && 2 * ranges * bytes <= kSumBytes && 2 * ranges * kBlocksPerRange <= tiling.blocks)
      ranges *= 2;
  }

  int64_t slice_in_blocks() const { return ceil_div(in_blocks, in_slices); }  // at most
  int64_t slice_out_blocks() const { return ceil_div(out_blocks, out_slices); }
  Slice in_slice(int64_t i) const {
    return {part_begin(in_blocks, in_slices, i), part_begin(in_blocks, in_slices, i + 1)};
  }
  Slice out_slice(int64_t i) const {
    return {part_begin(out_blocks, out_slices, i), part_begin(out_blocks, out_slices, i + 1)};
  }

  // By tiles: dU of every range is shared, V and Y belong to a thread. By channels: V and Y of every block are shared,
  // dU belongs to a thread.
  int64_t du_floats() const { return kCoefficients * du_stride; }
  int64_t tile_floats() const { return kCoefficients * (v_stride + y_stride); }
  int64_t shared() const { return by_channels ? tiling.blocks * tile_floats() : ranges * du_floats(); }
  int64_t own() const { return by_channels ? du_floats() : tile_floats(); }
  float* own_of(float* workspace, int thread) const { return workspace + shared() + thread * own(); }
  int64_t floats() const { return shared() + threads * own(); }
};

using StripTransform = void(const Planes&, const Strip&, float*, int64_t);

// One block of channels of one block of tiles; `to` points to that block of channels.
template <StripTransform transform>
void transform_block(const Tiling& tiling,
                     int64_t block,
                     const float* images,
                     int64_t channels,
                     int64_t channel_block,
                     float* to,
                     int64_t to_stride) {
  const int64_t plane = tiling.height * tiling.width, first = channel_block * kLanes;
  const int count = static_cast<int>(smaller<int64_t>(channels - first, kLanes));
  for (int64_t s = tiling.first_strip(block); s < tiling.first_strip(block + 1); ++s) {
    const Strip strip = tiling.strip(s);
    transform({images + (strip.image * channels + first) * plane, tiling.height, tiling.width, count}, strip, to,
              to_stride);
    to += strip.tiles * kLanes;
  }
}

// dU of one coefficient. V of a few blocks of input channels stays in L1 while all output channels pass by.
void multiply_slices(const GradientPlan& plan,
                     int64_t tiles,
                     int64_t in_blocks,
                     int64_t out_blocks,
                     const float* v,
                     const float* y,
                     bool first,
                     const Sums& sums,
                     int coefficient) {
  const int64_t groups = ceil_div<int64_t>(in_blocks, kGradientVectors);
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t c = part_begin(in_blocks, groups, group);
    const int vectors = static_cast<int>(part_begin(in_blocks, groups, group + 1) - c);
    for (int64_t k = 0; k < out_blocks; ++k)
      for (int row = 0; row < kLanes; row += kGradientRows)
        multiply_transposed(vectors, y + k * plan.block_stride + row, v + c * plan.block_stride, plan.block_stride,
                            tiles, first, sums.at(coefficient, k, c) + row * kLanes);
  }
}

// dg = G^T dU G of one output channel and one block of input channels, whose gradients are neighbours in dweight;
// dU is the sum of `ranges`, range_stride floats apart.
void transform_gradient(
    const float* du, int64_t du_stride, int64_t ranges, int64_t range_stride, float* dweight, int channels) {
  TapColumn rows[kInputTile];
  for (int i = 0; i < kInputTile; ++i) {
    const float* from = du + i * du_stride;
    InputColumn column = load_column<kInputTile, InputColumn>(from, kInputTile * du_stride);
    for (int64_t range = 1; range < ranges; ++range) {
      const auto other = load_column<kInputTile, InputColumn>(from + range * range_stride, kInputTile * du_stride);
#pragma GCC unroll 6
      for (int j = 0; j < kInputTile; ++j) column.at[j] += other.at[j];
    }
    rows[i] = transform_tap_gradient(column);
  }
  Vec taps[larger(kTapCount, kLanes) + kLanes] = {};
#pragma GCC unroll 3
  for (int row = 0; row < kTaps; ++row) {
    InputColumn column;
#pragma GCC unroll 6
    for (int i = 0; i < kInputTile; ++i) column.at[i] = rows[i].at[row];
    const TapColumn gradient = transform_tap_gradient(column);
#pragma GCC unroll 3
    for (int i = 0; i < kTaps; ++i) taps[row * kTaps + i] = gradient.at[i];
  }
  for (int i = 0; i < kTapCount; i += kLanes) {
    Vec chunk[kLanes];
#pragma GCC unroll 16
    for (int p = 0; p < kLanes; ++p) chunk[p] = taps[i + p];
    store_transposed(chunk, dweight + i, kTapCount, channels, smaller(kTapCount - i, kLanes));
  }
}

void transform_gradient_block(
    const GradientPlan& plan, int64_t out_block, int64_t in_block, const float* du, float* dweight) {
  const int64_t k = out_block * kLanes, c = in_block * kLanes;
  const int64_t rows = smaller<int64_t>(plan.out_channels - k, kLanes);
  const int channels = static_cast<int>(smaller<int64_t>(plan.in_channels - c, kLanes));
  for (int64_t i = 0; i < rows; ++i, du += kLanes) {
    // 36 streams are more than the hardware prefetcher follows.
    for (int j = 0; j < kCoefficients; ++j) __builtin_prefetch(du + 2 * kLanes + j * plan.du_stride);
    transform_gradient(du, plan.du_stride, plan.ranges, plan.du_floats(),
                       dweight + ((k + i) * plan.in_channels + c) * kTapCount, channels);
  }
}

// By tiles: one range of tiles and one slice of dU.
void accumulate_range(const GradientPlan& plan,
                      int64_t range,
                      Slice in,
                      Slice out,
                      const float* x,
                      const float* dy,
                      const Sums& sums,
                      float* v) {
  const Tiling& tiling = plan.tiling;
  float* y = v + kCoefficients * plan.v_stride;
  const int64_t first = part_begin(tiling.blocks, plan.ranges, range);
  const int64_t last = part_begin(tiling.blocks, plan.ranges, range + 1);
  for (int64_t block = first; block < last; ++block) {
    for (int64_t c = 0; c < in.size(); ++c)
      transform_block<transform_input_strip>(tiling, block, x, plan.in_channels, in.begin + c,
                                             v + c * plan.block_stride, plan.v_stride);
    for (int64_t k = 0; k < out.size(); ++k)
      transform_block<transform_output_gradient_strip>(tiling, block, dy, plan.out_channels, out.begin + k,
                                                       y + k * plan.block_stride, plan.y_stride);
    const Sums slice{sums.at(0, out.begin, in.begin), sums.stride, sums.in_blocks};
    for (int i = 0; i < kCoefficients; ++i)
      multiply_slices(plan, tiling.tiles_in_block(block), in.size(), out.size(), v + i * plan.v_stride,
                      y + i * plan.y_stride, block == first, slice, i);
  }
}

void gradient_by_tiles(const GradientPlan& plan, const float* x, const float* dy, float* dweight, float* workspace) {
#pragma omp parallel num_threads(plan.threads)
  {
    float* own = plan.own_of(workspace, omp_get_thread_num());
#pragma omp for collapse(3) schedule(dynamic)
    for (int64_t range = 0; range < plan.ranges; ++range)
      for (int64_t i = 0; i < plan.in_slices; ++i)
        for (int64_t o = 0; o < plan.out_slices; ++o)
          accumulate_range(plan, range, plan.in_slice(i), plan.out_slice(o), x, dy,
                           {workspace + range * plan.du_floats(), plan.du_stride, plan.in_blocks}, own);
    const Sums sums{workspace, plan.du_stride, plan.in_blocks};
#pragma omp for collapse(2) schedule(static)
    for (int64_t k = 0; k < plan.out_blocks; ++k)
      for (int64_t c = 0; c < plan.in_blocks; ++c) transform_gradient_block(plan, k, c, sums.at(0, k, c), dweight);
  }
}

// By channels: one slice of dU from all tiles.
void gradient_of_slice(const GradientPlan& plan, Slice in, Slice out, const float* tiles, float* own, float* dweight) {
  const Sums sums{own, plan.du_stride, in.size()};
  for (int64_t block = 0; block < plan.tiling.blocks; ++block) {
    const float* v = tiles + block * plan.tile_floats();
    const float* y = v + kCoefficients * plan.v_stride;
    for (int i = 0; i < kCoefficients; ++i)
      multiply_slices(plan, plan.tiling.tiles_in_block(block), in.size(), out.size(),
                      v + i * plan.v_stride + in.begin * plan.block_stride,
                      y + i * plan.y_stride + out.begin * plan.block_stride, block == 0, sums, i);
  }
  for (int64_t k = 0; k < out.size(); ++k)
    for (int64_t c = 0; c < in.size(); ++c)
      transform_gradient_block(plan, out.begin + k, in.begin + c, sums.at(0, k, c), dweight);
}

void gradient_by_channels(const GradientPlan& plan, const float* x, const float* dy, float* dweight, float* workspace) {
  const Tiling& tiling = plan.tiling;
#pragma omp parallel num_threads(plan.threads)
  {
#pragma omp for collapse(2) schedule(static)
    for (int64_t block = 0; block < tiling.blocks; ++block)
      for (int64_t i = 0; i < plan.in_blocks + plan.out_blocks; ++i) {
        float* v = workspace + block * plan.tile_floats();
        float* y = v + kCoefficients * plan.v_stride;
        const int64_t k = i - plan.in_blocks;
        if (k < 0)
          transform_block<transform_input_strip>(tiling, block, x, plan.in_channels, i, v + i * plan.block_stride,
                                                 plan.v_stride);
        else
          transform_block<transform_output_gradient_strip>(tiling, block, dy, plan.out_channels, k,
                                                           y + k * plan.block_stride, plan.y_stride);
      }
    float* own = plan.own_of(workspace, omp_get_thread_num());
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t o = 0; o < plan.out_slices; ++o)
      for (int64_t i = 0; i < plan.in_slices; ++i)
        gradient_of_slice(plan, plan.in_slice(i), plan.out_slice(o), workspace, own, dweight);
  }
}

}  // namespace

size_t winograd_weight_workspace_bytes(const WinogradShape& shape, int threads) {
  return static_cast<size_t>(GradientPlan(shape, threads).floats()) * sizeof(float);
}

void winograd_backward_weight(
    const WinogradShape& shape, const float* x, const float* dy, float* dweight, void* workspace, int threads) {
  const GradientPlan plan(shape, threads);
  if (plan.tiling.blocks == 0) {
    for (int64_t i = 0; i < plan.in_channels * plan.out_channels * kTapCount; ++i) dweight[i] = 0;
    return;
  }
  (plan.by_channels ? gradient_by_channels : gradient_by_tiles)(plan, x, dy, dweight, static_cast<float*>(workspace));
}

}  // namespace sfumato::fast::SFUMATO_ISA
