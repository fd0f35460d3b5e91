// Winograd's weight transform U = G g G^T, from (K,C,3,3) to one matrix per coefficient as winograd_gemm.h reads it:
// [panel][reduced channel][width], with the vector lanes along the channels of the result.
//
//     const TapOrder taps{weight, shape.in_channels, /*turned=*/false};
//     transform_weight_block(taps, first_result, width, first_reduced, count, u, coefficient_stride(floats));
#pragma once

#include "tensor/backend/fast/winograd_gemm.h"
#include "tensor/backend/fast/winograd_transforms.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

constexpr int kTapCount = kTaps * kTaps;

// Distance in floats between the coefficients of a transformed tensor: an odd number of cache lines, so that the 36
// stores of one tile fall into different sets of the L1 cache (3 to 10 times faster than a power of two).
inline int64_t coefficient_stride(int64_t floats) {
  return (ceil_div<int64_t>(floats, kCacheLineFloats) | 1) * kCacheLineFloats;
}

// How the weights are read. Plain: results are the output channels K. Turned by 180 degrees, for the input gradient:
// results are the input channels C, and the output channels are summed over.
struct TapOrder {
  const float* weight;
  int64_t in_channels;  // C of (K,C,3,3)
  bool turned;
};

// Taps of kLanes result channels for each of kLanes reduced channels; the slack takes whole vectors at the end.
struct alignas(64) TapBlock {
  float taps[(kLanes * kTapCount + kLanes) * kLanes];
  float* at(int channel, int tap) { return taps + (channel * kTapCount + tap) * kLanes; }
};

// src holds `results` rows of `count` floats: transposed into consecutive vectors.
inline void load_taps(const float* src, int64_t stride, int results, int count, float* to) {
  for (int i = 0; i < count; i += kLanes) {
    Vec taps[kLanes];
    load_transposed(src + i, stride, results, smaller(count - i, kLanes), taps);
#pragma GCC unroll 16
    for (int p = 0; p < kLanes; ++p) store(to + (i + p) * kLanes, taps[p]);
  }
}

inline void load_tap_block(
    const TapOrder& order, int64_t result, int results, int64_t reduced, int count, TapBlock& block) {
  if (!order.turned)
    return load_taps(order.weight + (result * order.in_channels + reduced) * kTapCount, order.in_channels * kTapCount,
                     results, count * kTapCount, block.at(0, 0));
  for (int i = 0; i < count; ++i)
    load_taps(order.weight + ((reduced + i) * order.in_channels + result) * kTapCount, kTapCount, results, kTapCount,
              block.at(i, 0));
}

// U of one channel; consecutive taps are `tap_stride` floats apart (negative: turned).
inline void transform_taps_of_channel(const float* taps, int64_t tap_stride, float* u, int64_t u_stride) {
  InputColumn columns[kTaps];
#pragma GCC unroll 3
  for (int i = 0; i < kTaps; ++i) {
    TapColumn g;
#pragma GCC unroll 3
    for (int j = 0; j < kTaps; ++j) g.at[j] = load(taps + (j * kTaps + i) * tap_stride);
    columns[i] = transform_taps(g);
  }
#pragma GCC unroll 6
  for (int row = 0; row < kInputTile; ++row) {
    const InputColumn transformed = transform_taps({{columns[0].at[row], columns[1].at[row], columns[2].at[row]}});
#pragma GCC unroll 6
    for (int i = 0; i < kInputTile; ++i) store(u + (row * kInputTile + i) * u_stride, transformed.at[i]);
  }
}

// U of one panel, `result ... result + width` (rounded up to whole vectors), and of `count` <= kLanes reduced channels;
// u points to the panel's row for the first of them.
inline void transform_weight_block(
    const TapOrder& order, int64_t result, int64_t width, int64_t reduced, int count, float* u, int64_t u_stride) {
  const int64_t row = ceil_div<int64_t>(width, kLanes) * kLanes;
  for (int64_t lane = 0; lane < width; lane += kLanes) {
    TapBlock block;
    load_tap_block(order, result + lane, static_cast<int>(smaller<int64_t>(width - lane, kLanes)), reduced, count,
                   block);
    for (int i = 0; i < count; ++i)
      transform_taps_of_channel(block.at(i, order.turned ? kTapCount - 1 : 0), order.turned ? -kLanes : kLanes,
                                u + i * row + lane, u_stride);
  }
}

}  // namespace
}  // namespace sfumato::fast::SFUMATO_ISA
