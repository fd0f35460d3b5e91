// The optimisers' inner loops, as tensor/ops/optim.cpp chooses between them at run time: defined by optim.isa.cpp,
// which is compiled once per instruction set.
//
//   const OptimKernels& k = optim_kernels();
//   k.adam(parameters, gradients, exp_avg, exp_avg_sq, count, constants);
//
// Every variant, and the plain loops beside which they are tested, does the same operations in the same order without
// fused multiply-add, so all of them give the same bits: these loops wait for memory, not for arithmetic.
#pragma once

#include <cstdint>

#include "tensor/backend/fast/isa.h"

namespace sfumato {

// Scalars of one step, rounded to f32 once, as PyTorch rounds them.
struct SgdConstants {
  float grad_scale, weight_decay, momentum, lr;
  bool nesterov, first_step;
};
struct AdamConstants {
  float grad_scale;
  float weight_decay;  // added to the gradient; 0 for AdamW
  float keep;          // the parameters' factor: 1 - lr * weight_decay for AdamW, else 1
  float first_rate;    // 1 - beta1
  float beta2;
  float second_rate;      // 1 - beta2
  float root_correction;  // sqrt(1 - beta2^step)
  float eps;
  float step_size;  // lr / (1 - beta1^step)
};

namespace fast {

#define SFUMATO_DECLARE_OPTIM(variant)                                                                                 \
  namespace variant {                                                                                                  \
  void sgd(float* parameters, const float* gradients, int64_t count, const SgdConstants& c);                           \
  void sgd_momentum(float* parameters, const float* gradients, float* momentum, int64_t count, const SgdConstants& c); \
  void adam(float* parameters,                                                                                         \
            const float* gradients,                                                                                    \
            float* exp_avg,                                                                                            \
            float* exp_avg_sq,                                                                                         \
            int64_t count,                                                                                             \
            const AdamConstants& c);                                                                                   \
  void lerp(float* a, const float* b, int64_t count, float weight);                                                    \
  void add(float* a, const float* b, int64_t count);                                                                   \
  void scale(float* a, int64_t count, float factor);                                                                   \
  /* Of one chunk: 32 running sums in f64 (element i goes to sum i % 32), then a binary tree over the 32. */           \
  double sum_of_squares(const float* x, int64_t count);                                                                \
  }

SFUMATO_DECLARE_OPTIM(avx512)
SFUMATO_DECLARE_OPTIM(avx2)
SFUMATO_DECLARE_OPTIM(baseline)

#undef SFUMATO_DECLARE_OPTIM

}  // namespace fast
}  // namespace sfumato
