// Winograd convolution, forward and input gradient: the input gradient is the forward convolution of dy with the
// weights turned by 180 degrees and their channels exchanged, so both are `convolve` after their weight transform.
//
// Two schedules, chosen by the shape:
//
// By tiles. A thread owns blocks of about 32 tiles, without barriers: it transforms all input channels of the block
// (V: 36 C 32 floats, 590 KB for C = 128: within L2), then for 64 output channels at a time runs the 36 products and
// the output transform (M: another 295 KB). The transformed weights are made first and stream through once per block;
// 32 tiles make 16 flops of every byte of them, which the last-level cache can feed.
//
// By channels, for wide layers of few tiles, where those weights (4 times the weights) would be most of the traffic.
// The input is transformed first, for all threads. Then a thread owns panels of output channels of a block of up to 64
// tiles, and transforms their weights for 64 input channels at a time, just before it multiplies by them in L2.
//
// The order of every sum is the same for any number of threads.
#include <omp.h>

#include "tensor/backend/fast/winograd_gemm.h"
#include "tensor/backend/fast/winograd_kernels.h"
#include "tensor/backend/fast/winograd_tiles.h"
#include "tensor/backend/fast/winograd_weights.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

constexpr int64_t kTilesPerBlock = 32;
constexpr int64_t kTilesPerChannelBlock = 64;  // of the schedule by channels
constexpr int64_t kGroupBlocks = 64 / kLanes;  // by tiles: output channel blocks whose products are kept at a time
constexpr int64_t kChunkChannels = 64;         // by channels: input channels whose weights are kept at a time
constexpr int64_t kFewTiles = 128;
constexpr int64_t kWideWeights = 128 * 128;  // channel pairs

// Where everything lies in the workspace, in floats.
struct ConvolvePlan {
  int64_t in_channels, out_channels;
  int64_t in_blocks, out_blocks, panels;
  bool by_channels;
  Tiling tiling;
  int64_t block_stride;                  // between channel blocks of V and M
  int64_t u_stride, v_stride, m_stride;  // between coefficients
  int threads;

  ConvolvePlan(int64_t batch, int64_t in, int64_t out, int64_t height, int64_t width, int max_threads)
      : in_channels(in),
        out_channels(out),
        in_blocks(ceil_div<int64_t>(in, kLanes)),
        out_blocks(ceil_div<int64_t>(out, kLanes)),
        panels(ceil_div<int64_t>(out_blocks, kPanelVectors)),
        by_channels(in * out >= kWideWeights && batch * tiles_in_image(height, width) <= kFewTiles),
        tiling(batch, height, width, by_channels ? kTilesPerChannelBlock : kTilesPerBlock),
        threads(max_threads) {
    block_stride = tiling.block_capacity() * kLanes;
    u_stride = coefficient_stride(by_channels ? kChunkChannels * kPanelVectors * kLanes : out_blocks * kLanes * in);
    v_stride = coefficient_stride(in_blocks * block_stride);
    m_stride =
        coefficient_stride(smaller<int64_t>(out_blocks, by_channels ? kPanelVectors : kGroupBlocks) * block_stride);
  }

  // By tiles: U is shared, V and M belong to a thread. By channels: one V per block is shared, U and M to a thread.
  int64_t shared() const { return kCoefficients * (by_channels ? tiling.blocks * v_stride : u_stride); }
  int64_t own() const { return kCoefficients * ((by_channels ? u_stride : v_stride) + m_stride); }
  int64_t floats() const { return shared() + threads * own(); }
  float* own_of(float* workspace, int thread) const { return workspace + shared() + thread * own(); }

  int64_t panel_begin(int64_t panel) const { return panel * kPanelVectors * kLanes; }
  int64_t panel_width(int64_t panel) const {
    return smaller<int64_t>(out_channels - panel_begin(panel), kPanelVectors * kLanes);
  }
};

// One block of input channels of one block of tiles; v points to that block of channels.
void transform_input_block(const ConvolvePlan& plan, int64_t block, int64_t in_block, const float* x, float* v) {
  const Tiling& tiling = plan.tiling;
  const int64_t plane = tiling.height * tiling.width, channel = in_block * kLanes;
  const int channels = static_cast<int>(smaller<int64_t>(plan.in_channels - channel, kLanes));
  for (int64_t s = tiling.first_strip(block); s < tiling.first_strip(block + 1); ++s) {
    const Strip strip = tiling.strip(s);
    const float* planes = x + (strip.image * plan.in_channels + channel) * plane;
    transform_input_strip({planes, tiling.height, tiling.width, channels}, strip, v, plan.v_stride);
    v += strip.tiles * kLanes;
  }
}

void transform_output_block(const ConvolvePlan& plan,
                            int64_t block,
                            const float* m,
                            int64_t first_block,
                            int64_t blocks,
                            const float* bias,
                            float* y) {
  const Tiling& tiling = plan.tiling;
  const int64_t plane = tiling.height * tiling.width;
  for (int64_t k = 0; k < blocks; ++k) {
    const float* from = m + k * plan.block_stride;
    const int64_t channel = (first_block + k) * kLanes;
    const int channels = static_cast<int>(smaller<int64_t>(plan.out_channels - channel, kLanes));
    const Vec channel_bias = bias ? load_first(bias + channel, channels) : Vec{};
    for (int64_t s = tiling.first_strip(block); s < tiling.first_strip(block + 1); ++s) {
      const Strip strip = tiling.strip(s);
      transform_output_strip(from, plan.m_stride, channel_bias, strip,
                             y + (strip.image * plan.out_channels + channel) * plane, tiling.height, tiling.width,
                             channels);
      from += strip.tiles * kLanes;
    }
  }
}

// Products of `blocks` blocks of output channels from first_block on.
void multiply_group(const ConvolvePlan& plan,
                    int64_t tiles,
                    const float* u,
                    const float* v,
                    int64_t first_block,
                    int64_t blocks,
                    float* m) {
  for (int i = 0; i < kCoefficients; ++i)
    for (int64_t k = 0; k < blocks; k += kPanelVectors)
      multiply_panel(tiles, v + i * plan.v_stride, plan.block_stride,
                     u + i * plan.u_stride + (first_block + k) * kLanes * plan.in_channels, plan.in_channels,
                     static_cast<int>(smaller<int64_t>(blocks - k, kPanelVectors)),
                     m + i * plan.m_stride + k * plan.block_stride, plan.block_stride,
                     /*accumulate=*/false);
}

void convolve_by_tiles(
    const ConvolvePlan& plan, const float* x, const TapOrder& taps, const float* bias, float* y, float* workspace) {
  float* u = workspace;
#pragma omp parallel num_threads(plan.threads)
  {
#pragma omp for collapse(2) schedule(static)
    for (int64_t panel = 0; panel < plan.panels; ++panel)
      for (int64_t c = 0; c < plan.in_channels; c += kLanes) {
        const int64_t row = ceil_div<int64_t>(plan.panel_width(panel), kLanes) * kLanes;
        transform_weight_block(taps, plan.panel_begin(panel), plan.panel_width(panel), c,
                               static_cast<int>(smaller<int64_t>(plan.in_channels - c, kLanes)),
                               u + plan.panel_begin(panel) * plan.in_channels + c * row, plan.u_stride);
      }

    float* v = plan.own_of(workspace, omp_get_thread_num());
    float* m = v + kCoefficients * plan.v_stride;
#pragma omp for schedule(dynamic)
    for (int64_t block = 0; block < plan.tiling.blocks; ++block) {
      const int64_t tiles = plan.tiling.tiles_in_block(block);
      for (int64_t c = 0; c < plan.in_blocks; ++c) transform_input_block(plan, block, c, x, v + c * plan.block_stride);
      for (int64_t k = 0; k < plan.out_blocks; k += kGroupBlocks) {
        const int64_t blocks = smaller(plan.out_blocks - k, kGroupBlocks);
        multiply_group(plan, tiles, u, v, k, blocks, m);
        transform_output_block(plan, block, m, k, blocks, bias, y);
      }
    }
  }
}

// M of one panel, 64 input channels at a time: their weights are transformed into u and used while in L2.
void multiply_panel_by_chunks(
    const ConvolvePlan& plan, const TapOrder& taps, int64_t panel, int64_t tiles, const float* v, float* u, float* m) {
  const int64_t width = plan.panel_width(panel);
  const int vectors = static_cast<int>(ceil_div<int64_t>(width, kLanes));
  for (int64_t chunk = 0; chunk < plan.in_channels; chunk += kChunkChannels) {
    const int64_t channels = smaller(plan.in_channels - chunk, kChunkChannels);
    for (int64_t c = 0; c < channels; c += kLanes)
      transform_weight_block(taps, plan.panel_begin(panel), width, chunk + c,
                             static_cast<int>(smaller<int64_t>(channels - c, kLanes)), u + c * vectors * kLanes,
                             plan.u_stride);
    for (int i = 0; i < kCoefficients; ++i)
      multiply_panel(tiles, v + i * plan.v_stride + chunk / kLanes * plan.block_stride, plan.block_stride,
                     u + i * plan.u_stride, channels, vectors, m + i * plan.m_stride, plan.block_stride,
                     /*accumulate=*/chunk > 0);
  }
}

void convolve_by_channels(
    const ConvolvePlan& plan, const float* x, const TapOrder& taps, const float* bias, float* y, float* workspace) {
  float* v = workspace;
#pragma omp parallel num_threads(plan.threads)
  {
#pragma omp for collapse(2) schedule(static)
    for (int64_t block = 0; block < plan.tiling.blocks; ++block)
      for (int64_t c = 0; c < plan.in_blocks; ++c)
        transform_input_block(plan, block, c, x, v + block * kCoefficients * plan.v_stride + c * plan.block_stride);

    float* u = plan.own_of(workspace, omp_get_thread_num());
    float* m = u + kCoefficients * plan.u_stride;
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t panel = 0; panel < plan.panels; ++panel)
      for (int64_t block = 0; block < plan.tiling.blocks; ++block) {
        multiply_panel_by_chunks(plan, taps, panel, plan.tiling.tiles_in_block(block),
                                 v + block * kCoefficients * plan.v_stride, u, m);
        transform_output_block(plan, block, m, panel * kPanelVectors,
                               ceil_div<int64_t>(plan.panel_width(panel), kLanes), bias, y);
      }
  }
}

void convolve(
    const ConvolvePlan& plan, const float* x, const TapOrder& taps, const float* bias, float* y, void* workspace) {
  (plan.by_channels ? convolve_by_channels : convolve_by_tiles)(plan, x, taps, bias, y, static_cast<float*>(workspace));
}

}  // namespace

size_t winograd_workspace_bytes(const WinogradShape& s, WinogradPass pass, int threads) {
  if (pass == WinogradPass::backward_weight) return winograd_weight_workspace_bytes(s, threads);
  const bool forward = pass == WinogradPass::forward;
  const ConvolvePlan plan(s.batch, forward ? s.in_channels : s.out_channels, forward ? s.out_channels : s.in_channels,
                          s.height, s.width, threads);
  return static_cast<size_t>(plan.floats()) * sizeof(float);
}

void winograd_forward(const WinogradShape& s,
                      const float* x,
                      const float* weight,
                      const float* bias,
                      float* y,
                      void* workspace,
                      int threads) {
  const ConvolvePlan plan(s.batch, s.in_channels, s.out_channels, s.height, s.width, threads);
  convolve(plan, x, TapOrder{weight, s.in_channels, /*turned=*/false}, bias, y, workspace);
}

void winograd_backward_data(
    const WinogradShape& s, const float* dy, const float* weight, float* dx, void* workspace, int threads) {
  const ConvolvePlan plan(s.batch, s.out_channels, s.in_channels, s.height, s.width, threads);
  convolve(plan, dy, TapOrder{weight, s.in_channels, /*turned=*/true}, nullptr, dx, workspace);
}

}  // namespace sfumato::fast::SFUMATO_ISA
