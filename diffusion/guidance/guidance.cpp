// From networks with classes to denoisers without, and classifier-free guidance between two of those.
#include "diffusion/guidance/guidance.h"

#include <cmath>
#include <utility>

#include "autograd/grad_mode.h"
#include "autograd/variable.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {

Denoiser denoiser_of(const DenoisingNetwork& network, const Tensor& labels) {
  return [&network, labels](const Tensor& x_t, const Tensor& t) {
    const NoGradGuard no_grad;
    return network(x_t, t, labels).tensor();
  };
}

Denoiser guided(Denoiser conditional, Denoiser unconditional, double scale) {
  check(std::isfinite(scale), "guided: the scale must be finite, got ", scale);
  if (scale == 1) return conditional;
  if (scale == 0) return unconditional;
  return [conditional = std::move(conditional), unconditional = std::move(unconditional), scale](const Tensor& x_t,
                                                                                                 const Tensor& t) {
    const Tensor without = unconditional(x_t, t), with = conditional(x_t, t);
    if (with.shape() == x_t.shape()) {
      return without + (with - without) * scale;
    }
    const auto prediction = [&](const Tensor& output) { return narrow(output, 1, 0, x_t.size(1)); };
    const Tensor variance = narrow(with, 1, x_t.size(1), with.size(1) - x_t.size(1));
    return cat({prediction(without) + (prediction(with) - prediction(without)) * scale, variance}, 1);
  };
}

Denoiser guided(const DenoisingNetwork& network, const Tensor& labels, int64_t null_label, double scale) {
  check(labels.defined(), "guided: labels are missing");
  check(null_label >= 0 && null_label < network.num_classes(), "guided: the null label ", null_label,
        " is not among the network's ", network.num_classes(), " labels");
  return guided(denoiser_of(network, labels),
                denoiser_of(network, full(labels.shape(), static_cast<double>(null_label), DType::i64)), scale);
}

}  // namespace sfumato
