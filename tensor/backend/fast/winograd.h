// Winograd convolution F(4x4, 3x3) in f32: 3x3 taps, stride 1, padding 1, plain contiguous NCHW in and out.
//
// Every 4x4 tile of the output is computed from a 6x6 tile d of the input with 36 multiplications per channel pair
// instead of 144 (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308):
//
//     forward, input gradient:   Y  = A^T [ sum_c (G g G^T) . (B^T d B) ] A           ("." is elementwise)
//     weight gradient:           dg = G^T [ sum_tiles (A dY A^T) . (B^T d B) ] G
//
// The sums over channels (over tiles) turn into 36 independent matrix products, one per coefficient. The matrices
// A, B, G are stated in winograd_transforms.h; interpolation points 0, +-5/8, +-3/2, infinity give a relative L2 error
// of about 1e-6 against f64.
//
//     const WinogradShape shape{16, 128, 256, 32, 32};
//     void* workspace = std::aligned_alloc(64, winograd_workspace_bytes(shape, WinogradPass::forward));
//     winograd_forward(shape, x, weight, bias, y, workspace);
//
// Any channel counts, heights and widths are allowed (edge tiles are cut, channels padded inside); a dimension of 0
// too. The results do not depend on the number of threads, bit for bit. The size of the workspace does: ask for it on
// the thread that makes the call, under the same omp_get_max_threads().
#pragma once

#include <cstddef>
#include <cstdint>

namespace sfumato::fast {

struct WinogradShape {
  int64_t batch, in_channels, out_channels, height, width;
};

enum class WinogradPass { forward, backward_data, backward_weight };

// Bytes of 64-byte aligned scratch that the pass needs; a multiple of 64.
size_t winograd_workspace_bytes(const WinogradShape& shape, WinogradPass pass);

// Whether the pass is expected to beat a direct convolution (oneDNN's, with its reorders from and to NCHW): a fixed
// rule of the shape, so that a run repeats bit for bit.
bool winograd_is_faster(const WinogradShape& shape, WinogradPass pass);

// x (N,C,H,W), weight (K,C,3,3), bias (K) or null, y (N,K,H,W).
void winograd_forward(
    const WinogradShape& shape, const float* x, const float* weight, const float* bias, float* y, void* workspace);

// dy (N,K,H,W), weight (K,C,3,3), dx (N,C,H,W).
void winograd_backward_data(
    const WinogradShape& shape, const float* dy, const float* weight, float* dx, void* workspace);

// x (N,C,H,W), dy (N,K,H,W), dweight (K,C,3,3); dweight is overwritten.
void winograd_backward_weight(
    const WinogradShape& shape, const float* x, const float* dy, float* dweight, void* workspace);

}  // namespace sfumato::fast
