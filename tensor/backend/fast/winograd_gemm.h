// The two micro-kernels of Winograd's matrix products: a small tile of the result stays in registers.
//
// Operands of one coefficient (V: transformed input, U: transformed weights, M: products, Y: output gradients):
//
//     V, M, Y  [channel / kLanes][tile][kLanes]       "channel blocks"; block_stride floats apart
//     U        [channel panel][reduced channel][panel width], panels of up to kPanelVectors * kLanes channels
//
//     multiply_panel, multiply_tile                  M[tile][k] (+)= sum_c     V[tile][c] U[c][k]
//     multiply_transposed, multiply_transposed_tile  dU[k][c]   (+)= sum_tile  Y[tile][k] V[tile][c]   weight gradient
//
// Both read their operands in place, without packing: the scalars that are broadcast lie within one or few cache lines.
#pragma once

#include "tensor/backend/fast/winograd_vector.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

// AVX-512 has 32 registers: 14 x 2 sums, 2 weights, 1 broadcast; the others have 16: 6 x 2, 2, 1.
constexpr int kPanelVectors = 2;
constexpr int kTileRows = kLanes == 16 ? 14 : 6;

template <int Rows, int Vectors>
inline void multiply_lane(Vec (&sum)[Rows][Vectors], const float* v, const float* u) {
  Vec weights[Vectors];
#pragma GCC unroll 2
  for (int j = 0; j < Vectors; ++j) weights[j] = load(u + j * kLanes);
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    const Vec scalar = broadcast(v[i * kLanes]);
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) sum[i][j] = fma(scalar, weights[j], sum[i][j]);
  }
}

template <int Rows, int Vectors>
void multiply_tile(const float* v,
                   int64_t v_block_stride,
                   const float* u,
                   int64_t channels,
                   float* m,
                   int64_t m_block_stride,
                   bool accumulate) {
  Vec sum[Rows][Vectors] = {};
  if (accumulate)
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < Vectors; ++j) sum[i][j] = load(m + j * m_block_stride + i * kLanes);
  for (; channels >= kLanes; channels -= kLanes, v += v_block_stride)
#pragma GCC unroll 4
    for (int lane = 0; lane < kLanes; ++lane, u += Vectors * kLanes) multiply_lane<Rows, Vectors>(sum, v + lane, u);
  for (int lane = 0; lane < channels; ++lane, u += Vectors * kLanes) multiply_lane<Rows, Vectors>(sum, v + lane, u);
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < Vectors; ++j) store(m + j * m_block_stride + i * kLanes, sum[i][j]);
}

// Picks the instance for `rows` tiles, 1 <= rows <= Rows.
template <int Vectors, int Rows = kTileRows>
inline void multiply_rows(int rows,
                          const float* v,
                          int64_t v_block_stride,
                          const float* u,
                          int64_t channels,
                          float* m,
                          int64_t m_block_stride,
                          bool accumulate) {
  if constexpr (Rows > 1)
    if (rows < Rows)
      return multiply_rows<Vectors, Rows - 1>(rows, v, v_block_stride, u, channels, m, m_block_stride, accumulate);
  multiply_tile<Rows, Vectors>(v, v_block_stride, u, channels, m, m_block_stride, accumulate);
}

// All tiles of a block by one panel: as few register tiles as possible, of equal height but for one.
inline void multiply_panel(int64_t tiles,
                           const float* v,
                           int64_t v_block_stride,
                           const float* u,
                           int64_t channels,
                           int vectors,
                           float* m,
                           int64_t m_block_stride,
                           bool accumulate) {
  for (int64_t groups = ceil_div<int64_t>(tiles, kTileRows); groups > 0; --groups) {
    const int rows = static_cast<int>(ceil_div(tiles, groups));
    if (vectors == kPanelVectors)
      multiply_rows<kPanelVectors>(rows, v, v_block_stride, u, channels, m, m_block_stride, accumulate);
    else
      multiply_rows<1>(rows, v, v_block_stride, u, channels, m, m_block_stride, accumulate);
    tiles -= rows;
    v += rows * kLanes;
    m += rows * kLanes;
  }
}

// Weight gradient: kGradientRows output channels by up to kGradientVectors blocks of input channels.
constexpr int kGradientRows = kLanes == 16 ? 8 : 4;
constexpr int kGradientVectors = kLanes == 16 ? 3 : 2;
constexpr int kGradientBlock = kLanes * kLanes;  // dU of one pair of channel blocks: [kLanes k][kLanes c]

// du: kGradientRows rows of Vectors neighbouring dU blocks; the sum over these tiles is added to it (the first is
// stored). Its cache lines are needed last and asked for first.
template <int Vectors>
void multiply_transposed_tile(
    const float* y, const float* v, int64_t v_block_stride, int64_t tiles, bool first, float* du) {
  for (int j = 0; j < Vectors; ++j)
    for (int i = 0; i < kGradientRows * kLanes; i += kCacheLineFloats)
      __builtin_prefetch(du + j * kGradientBlock + i, /*write=*/1);
  Vec sum[kGradientRows][Vectors] = {};
  for (int64_t tile = 0; tile < tiles; ++tile, y += kLanes, v += kLanes) {
    Vec inputs[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) inputs[j] = load(v + j * v_block_stride);
#pragma GCC unroll 8
    for (int i = 0; i < kGradientRows; ++i) {
      const Vec scalar = broadcast(y[i]);
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) sum[i][j] = fma(scalar, inputs[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kGradientRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) {
      float* to = du + j * kGradientBlock + i * kLanes;
      store(to, first ? sum[i][j] : load(to) + sum[i][j]);
    }
}

template <int Vectors = kGradientVectors>
inline void multiply_transposed(
    int vectors, const float* y, const float* v, int64_t v_block_stride, int64_t tiles, bool first, float* du) {
  if constexpr (Vectors > 1)
    if (vectors < Vectors) return multiply_transposed<Vectors - 1>(vectors, y, v, v_block_stride, tiles, first, du);
  multiply_transposed_tile<Vectors>(y, v, v_block_stride, tiles, first, du);
}

}  // namespace
}  // namespace sfumato::fast::SFUMATO_ISA
