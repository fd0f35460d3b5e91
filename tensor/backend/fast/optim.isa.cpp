// See optim_kernels.h. The loops are written one element at a time; the compiler turns them into vectors of the width
// that this file is being compiled for (square root and division included, which IEEE rounds alike at every width).
#include "tensor/backend/fast/optim_kernels.h"

namespace sfumato::fast::SFUMATO_ISA {

void sgd(float* __restrict parameters, const float* __restrict gradients, int64_t count, const SgdConstants& c) {
  const SgdConstants k = c;
  for (int64_t i = 0; i < count; ++i) {
    const float p = parameters[i];
    parameters[i] = p - k.lr * (gradients[i] * k.grad_scale + k.weight_decay * p);
  }
}

void sgd_momentum(float* __restrict parameters,
                  const float* __restrict gradients,
                  float* __restrict momentum,
                  int64_t count,
                  const SgdConstants& c) {
  const SgdConstants k = c;
  for (int64_t i = 0; i < count; ++i) {
    const float p = parameters[i];
    const float g = gradients[i] * k.grad_scale + k.weight_decay * p;
    const float m = k.first_step ? g : momentum[i] * k.momentum + g;
    momentum[i] = m;
    parameters[i] = p - k.lr * (k.nesterov ? g + k.momentum * m : m);
  }
}

void adam(float* __restrict parameters,
          const float* __restrict gradients,
          float* __restrict exp_avg,
          float* __restrict exp_avg_sq,
          int64_t count,
          const AdamConstants& c) {
  const AdamConstants k = c;
  for (int64_t i = 0; i < count; ++i) {
    const float p = parameters[i] * k.keep;
    const float g = gradients[i] * k.grad_scale + k.weight_decay * p;
    const float m = exp_avg[i] + (g - exp_avg[i]) * k.first_rate;
    const float v = exp_avg_sq[i] * k.beta2 + (g * g) * k.second_rate;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    parameters[i] = p - k.step_size * (m / (__builtin_sqrtf(v) / k.root_correction + k.eps));
  }
}

void lerp(float* __restrict a, const float* __restrict b, int64_t count, float weight) {
  for (int64_t i = 0; i < count; ++i) {
    a[i] = a[i] + (b[i] - a[i]) * weight;
  }
}

void add(float* __restrict a, const float* __restrict b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    a[i] = a[i] + b[i];
  }
}

void scale(float* __restrict a, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) {
    a[i] = a[i] * factor;
  }
}

double sum_of_squares(const float* __restrict x, int64_t count) {
  constexpr int kSums = 32;
  double sums[kSums] = {};
  const int64_t whole = count - count % kSums;
  for (int64_t i = 0; i < whole; i += kSums) {
    for (int j = 0; j < kSums; ++j) {
      sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);  // the product is exact
    }
  }
  for (int64_t i = whole; i < count; ++i) {
    sums[i - whole] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) {
      sums[j] += sums[j + half];
    }
  }
  return sums[0];
}

}  // namespace sfumato::fast::SFUMATO_ISA
