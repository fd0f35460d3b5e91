// The instruction-set variants of the Winograd passes, as winograd.cpp chooses between them at run time.
// Each is defined by winograd*.isa.cpp, compiled once per variant; see winograd.h for the meaning of the arguments.
#pragma once

#include "tensor/backend/fast/winograd.h"

namespace sfumato::fast {

#define SFUMATO_DECLARE_WINOGRAD(variant)                                                                         \
  namespace variant {                                                                                             \
  size_t winograd_workspace_bytes(const WinogradShape& shape, WinogradPass pass, int threads);                    \
  size_t winograd_weight_workspace_bytes(const WinogradShape& shape, int threads);                                \
  void winograd_forward(const WinogradShape& shape,                                                               \
                        const float* x,                                                                           \
                        const float* weight,                                                                      \
                        const float* bias,                                                                        \
                        float* y,                                                                                 \
                        void* workspace,                                                                          \
                        int threads);                                                                             \
  void winograd_backward_data(                                                                                    \
      const WinogradShape& shape, const float* dy, const float* weight, float* dx, void* workspace, int threads); \
  void winograd_backward_weight(                                                                                  \
      const WinogradShape& shape, const float* x, const float* dy, float* dweight, void* workspace, int threads); \
  }

SFUMATO_DECLARE_WINOGRAD(avx512)
SFUMATO_DECLARE_WINOGRAD(avx2)
SFUMATO_DECLARE_WINOGRAD(baseline)

#undef SFUMATO_DECLARE_WINOGRAD

}  // namespace sfumato::fast
