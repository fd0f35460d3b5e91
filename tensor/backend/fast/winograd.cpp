#include "tensor/backend/fast/winograd.h"

#include <omp.h>

#include "tensor/backend/fast/isa.h"
#include "tensor/backend/fast/winograd_kernels.h"
#include "tensor/dry_run.h"

namespace sfumato::fast {
namespace {

// One set of functions per instruction set.
struct Kernels {
  decltype(&baseline::winograd_workspace_bytes) workspace_bytes;
  decltype(&baseline::winograd_forward) forward;
  decltype(&baseline::winograd_backward_data) backward_data;
  decltype(&baseline::winograd_backward_weight) backward_weight;
};

const Kernels& kernels() {
#define SFUMATO_WINOGRAD_KERNELS(variant)                                                          \
  {                                                                                                \
    variant::winograd_workspace_bytes, variant::winograd_forward, variant::winograd_backward_data, \
        variant::winograd_backward_weight                                                          \
  }
  static constexpr Kernels kAvx512 = SFUMATO_WINOGRAD_KERNELS(avx512);
  static constexpr Kernels kAvx2 = SFUMATO_WINOGRAD_KERNELS(avx2);
  static constexpr Kernels kBaseline = SFUMATO_WINOGRAD_KERNELS(baseline);
#undef SFUMATO_WINOGRAD_KERNELS
  switch (isa()) {
    case Isa::avx512: return kAvx512;
    case Isa::avx2: return kAvx2;
    default: return kBaseline;
  }
}

}  // namespace

// Measured with AVX-512 (Zen 4) for batch 1 and 16, 1 to 512 channels, images of 1x1 to 64x64. The direct convolution
// wins where most of the 4x4 tiles hang over the edge (1x1, 2x2, 5x5), where a handful of tiles does not pay for the
// transform of the weights, and for the few input channels of a first layer, which a vector of channels mostly pads.
bool winograd_is_faster(const WinogradShape& s, WinogradPass pass) {
  const int64_t tiles = (s.height + 3) / 4 * ((s.width + 3) / 4);
  const bool tiles_are_full = 20 * s.height * s.width >= 11 * 16 * tiles;  // 55 % of their pixels are wanted
  if (!tiles_are_full || s.batch * tiles < 9 || s.in_channels * s.out_channels < 64) return false;
  switch (pass) {
    case WinogradPass::forward: return s.in_channels >= 8;
    case WinogradPass::backward_data: return true;
    case WinogradPass::backward_weight: return s.in_channels >= 16;
  }
  return false;
}

size_t winograd_workspace_bytes(const WinogradShape& shape, WinogradPass pass) {
  return kernels().workspace_bytes(shape, pass, omp_get_max_threads());
}

void winograd_forward(
    const WinogradShape& shape, const float* x, const float* weight, const float* bias, float* y, void* workspace) {
  if (dry_run()) return;
  kernels().forward(shape, x, weight, bias, y, workspace, omp_get_max_threads());
}

void winograd_backward_data(
    const WinogradShape& shape, const float* dy, const float* weight, float* dx, void* workspace) {
  if (dry_run()) return;
  kernels().backward_data(shape, dy, weight, dx, workspace, omp_get_max_threads());
}

void winograd_backward_weight(
    const WinogradShape& shape, const float* x, const float* dy, float* dweight, void* workspace) {
  if (dry_run()) return;
  kernels().backward_weight(shape, x, dy, dweight, workspace, omp_get_max_threads());
}

}  // namespace sfumato::fast
