#include "tensor/ops/optim.h"

#include <cmath>
#include <string_view>
#include <vector>

#include "tensor/backend/backend.h"
#include "tensor/backend/fast/optim_kernels.h"
#include "tensor/cost.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

constexpr int64_t kChunk = kSquaresChunk;

// ---- The plain loops: the formulas, and the oracle of the vector kernels, whose bits are the same. ----
namespace plain {

void sgd(float* parameters, const float* gradients, int64_t count, const SgdConstants& c) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradients[i] * c.grad_scale + c.weight_decay * parameters[i];
    parameters[i] -= c.lr * g;
  }
}

void sgd_momentum(float* parameters, const float* gradients, float* momentum, int64_t count, const SgdConstants& c) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradients[i] * c.grad_scale + c.weight_decay * parameters[i];
    momentum[i] = c.first_step ? g : c.momentum * momentum[i] + g;
    parameters[i] -= c.lr * (c.nesterov ? g + c.momentum * momentum[i] : momentum[i]);
  }
}

void adam(float* parameters,
          const float* gradients,
          float* exp_avg,
          float* exp_avg_sq,
          int64_t count,
          const AdamConstants& c) {
  for (int64_t i = 0; i < count; ++i) {
    parameters[i] *= c.keep;
    const float g = gradients[i] * c.grad_scale + c.weight_decay * parameters[i];
    exp_avg[i] += c.first_rate * (g - exp_avg[i]);
    exp_avg_sq[i] = c.beta2 * exp_avg_sq[i] + c.second_rate * (g * g);
    const float denominator = std::sqrt(exp_avg_sq[i]) / c.root_correction + c.eps;
    parameters[i] -= c.step_size * (exp_avg[i] / denominator);
  }
}

void lerp(float* a, const float* b, int64_t count, float weight) {
  for (int64_t i = 0; i < count; ++i) {
    a[i] += weight * (b[i] - a[i]);
  }
}

void add(float* a, const float* b, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    a[i] += b[i];
  }
}

void scale(float* a, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) {
    a[i] *= factor;
  }
}

double sum_of_squares(const float* x, int64_t count) {
  double sums[32] = {};
  for (int64_t i = 0; i < count; ++i) {
    sums[i % 32] += static_cast<double>(x[i]) * x[i];
  }
  for (int half = 16; half > 0; half /= 2) {
    for (int j = 0; j < half; ++j) {
      sums[j] += sums[j + half];
    }
  }
  return sums[0];
}

}  // namespace plain

struct OptimKernels {
  decltype(&plain::sgd) sgd;
  decltype(&plain::sgd_momentum) sgd_momentum;
  decltype(&plain::adam) adam;
  decltype(&plain::lerp) lerp;
  decltype(&plain::add) add;
  decltype(&plain::scale) scale;
  decltype(&plain::sum_of_squares) sum_of_squares;
};

#define SFUMATO_OPTIM_KERNELS(variant)                                                               \
  {                                                                                                  \
    variant::sgd, variant::sgd_momentum, variant::adam, variant::lerp, variant::add, variant::scale, \
        variant::sum_of_squares                                                                      \
  }

const OptimKernels& kernels() {
  static constexpr OptimKernels kPlain = SFUMATO_OPTIM_KERNELS(plain);
#ifdef SFUMATO_FAST
  static constexpr OptimKernels kAvx512 = SFUMATO_OPTIM_KERNELS(fast::avx512);
  static constexpr OptimKernels kAvx2 = SFUMATO_OPTIM_KERNELS(fast::avx2);
  static constexpr OptimKernels kBaseline = SFUMATO_OPTIM_KERNELS(fast::baseline);
  if (use_fast(DType::f32)) {
    switch (fast::isa()) {
      case fast::Isa::avx512: return kAvx512;
      case fast::Isa::avx2: return kAvx2;
      case fast::Isa::baseline: return kBaseline;
    }
  }
#endif
  return kPlain;
}
#undef SFUMATO_OPTIM_KERNELS

void check_flat(std::string_view op, std::string_view what, const Tensor& x, int64_t count) {
  check(x.defined() && x.dtype() == DType::f32 && x.is_contiguous() && x.numel() == count, op, ": ", what,
        " must be a contiguous f32 tensor of ", count, " elements, got ", x.dtype(), " ", x.shape(),
        x.is_contiguous() ? "" : " with gaps");
}

}  // namespace

void sgd_(Tensor& parameters, const Tensor& gradients, Tensor& momentum, const SgdOptions& o) {
  const int64_t count = parameters.numel();
  check(o.step >= 1, "sgd: steps count from 1, got ", o.step);
  check(!o.nesterov || o.momentum > 0, "sgd: Nesterov's rule needs a momentum above 0");
  check_flat("sgd", "parameters", parameters, count);
  check_flat("sgd", "gradients", gradients, count);
  const SgdConstants c{.grad_scale = static_cast<float>(o.grad_scale),
                       .weight_decay = static_cast<float>(o.weight_decay),
                       .momentum = static_cast<float>(o.momentum),
                       .lr = static_cast<float>(o.lr),
                       .nesterov = o.nesterov,
                       .first_step = o.step == 1};
  const OptimKernels& k = kernels();
  float* p = parameters.mutable_data<float>();
  const float* g = gradients.data<float>();
  report_cost("sgd", {&parameters, &parameters, &gradients});
  if (o.momentum == 0) {
    parallel_for(count, kChunk, [&](int64_t begin, int64_t end) { k.sgd(p + begin, g + begin, end - begin, c); });
    return;
  }
  check_flat("sgd", "momentum", momentum, count);
  float* m = momentum.mutable_data<float>();
  parallel_for(count, kChunk,
               [&](int64_t begin, int64_t end) { k.sgd_momentum(p + begin, g + begin, m + begin, end - begin, c); });
}

void adam_(Tensor& parameters, const Tensor& gradients, Tensor& exp_avg, Tensor& exp_avg_sq, const AdamOptions& o) {
  const int64_t count = parameters.numel();
  check(o.step >= 1, "adam: steps count from 1, got ", o.step);
  check(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1, "adam: betas must be in [0, 1), got ", o.beta1,
        " and ", o.beta2);
  check_flat("adam", "parameters", parameters, count);
  check_flat("adam", "gradients", gradients, count);
  check_flat("adam", "exp_avg", exp_avg, count);
  check_flat("adam", "exp_avg_sq", exp_avg_sq, count);
  const double step = static_cast<double>(o.step);
  const AdamConstants c{.grad_scale = static_cast<float>(o.grad_scale),
                        .weight_decay = static_cast<float>(o.decoupled ? 0.0 : o.weight_decay),
                        .keep = static_cast<float>(o.decoupled ? 1.0 - o.lr * o.weight_decay : 1.0),
                        .first_rate = static_cast<float>(1.0 - o.beta1),
                        .beta2 = static_cast<float>(o.beta2),
                        .second_rate = static_cast<float>(1.0 - o.beta2),
                        .root_correction = static_cast<float>(std::sqrt(1.0 - std::pow(o.beta2, step))),
                        .eps = static_cast<float>(o.eps),
                        .step_size = static_cast<float>(o.lr / (1.0 - std::pow(o.beta1, step)))};
  const OptimKernels& k = kernels();
  float* p = parameters.mutable_data<float>();
  const float* g = gradients.data<float>();
  float* m = exp_avg.mutable_data<float>();
  float* v = exp_avg_sq.mutable_data<float>();
  report_cost("adam", {&parameters, &parameters, &gradients, &exp_avg, &exp_avg, &exp_avg_sq, &exp_avg_sq});
  parallel_for(count, kChunk,
               [&](int64_t begin, int64_t end) { k.adam(p + begin, g + begin, m + begin, v + begin, end - begin, c); });
}

void lerp_(Tensor& a, const Tensor& b, double weight) {
  check_flat("lerp", "a", a, a.numel());
  check_flat("lerp", "b", b, a.numel());
  const OptimKernels& k = kernels();
  float* to = a.mutable_data<float>();
  const float* from = b.data<float>();
  report_cost("lerp", {&a, &a, &b});
  parallel_for(a.numel(), kChunk, [&](int64_t begin, int64_t end) {
    k.lerp(to + begin, from + begin, end - begin, static_cast<float>(weight));
  });
}

void add_(Tensor& a, const Tensor& b) {
  check_flat("add_", "a", a, a.numel());
  check_flat("add_", "b", b, a.numel());
  const OptimKernels& k = kernels();
  float* to = a.mutable_data<float>();
  const float* from = b.data<float>();
  report_cost("add_", {&a, &a, &b});
  parallel_for(a.numel(), kChunk, [&](int64_t begin, int64_t end) { k.add(to + begin, from + begin, end - begin); });
}

void scale_(Tensor& a, double factor) {
  check_flat("scale_", "a", a, a.numel());
  const OptimKernels& k = kernels();
  float* data = a.mutable_data<float>();
  parallel_for(a.numel(), kChunk,
               [&](int64_t begin, int64_t end) { k.scale(data + begin, end - begin, static_cast<float>(factor)); });
}

std::vector<double> squares_of_chunks(const Tensor& x) {
  check_flat("sum_of_squares", "x", x, x.numel());
  const int64_t chunks = (x.numel() + kChunk - 1) / kChunk;
  const OptimKernels& k = kernels();
  const float* data = x.data<float>();
  std::vector<double> sums(static_cast<size_t>(chunks));
  report_cost("sum_of_squares", {&x});
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      sums[static_cast<size_t>(i)] = k.sum_of_squares(data + i * kChunk, std::min(kChunk, x.numel() - i * kChunk));
    }
  });
  return sums;
}

double sum_over_tree(std::vector<double> sums) {
  // Neighbours first, then pairs of pairs: an odd one out waits for the next round.
  for (size_t distance = 1; distance < sums.size(); distance *= 2) {
    for (size_t i = 0; i + distance < sums.size(); i += 2 * distance) {
      sums[i] += sums[i + distance];
    }
  }
  return sums.empty() ? 0 : sums[0];
}

double sum_of_squares(const Tensor& x) { return sum_over_tree(squares_of_chunks(x)); }

}  // namespace sfumato
