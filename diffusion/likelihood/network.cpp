#include "diffusion/likelihood/network.h"

#include "autograd/grad_mode.h"
#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/view.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

DType weights_dtype(const DenoisingNetwork& network) {
  const auto parameters = network.parameters();
  return parameters.empty() ? DType::f64 : parameters[0].dtype();
}

Variable clipped(const PredictionOptions& prediction, const Variable& x0) {
  check(!prediction.thresholding, "likelihood: dynamic thresholding has no density");
  const double range = prediction.clip_sample_range;
  return prediction.clip_sample ? clamp(x0, -range, range) : x0;
}

}  // namespace

Denoiser wide_denoiser(const DenoisingNetwork& network, const Tensor& labels) {
  return [&network, labels, dtype = weights_dtype(network)](const Tensor& x_t, const Tensor& t) {
    const NoGradGuard no_grad;
    return network(x_t.to(dtype), t, labels).tensor().to(DType::f64);
  };
}

DifferentiableDenoiser differentiable(const DenoisingNetwork& network,
                                      const NoiseSchedule& schedule,
                                      const PredictionOptions& prediction,
                                      const Tensor& labels) {
  const auto denoise = [&network, prediction, labels, table = SigmaTable(schedule), dtype = weights_dtype(network)](
                           const Variable& x, double sigma) {
    const NoiseLevel level = level_of(sigma);
    const Variable x_t = x * level.signal;
    const Tensor t = full({x.size(0)}, table.time(sigma));
    Variable output = to(network(to(x_t, dtype), t, labels), DType::f64);
    if (x.dim() > 1 && output.shape() != x.shape()) output = narrow(output, 1, 0, x.size(1));  // without the variance
    switch (prediction.type) {
      case PredictionType::epsilon: return clipped(prediction, (x_t - output * level.noise) / level.signal);
      case PredictionType::sample: return clipped(prediction, output);
      case PredictionType::v_prediction: return clipped(prediction, x_t * level.signal - output * level.noise);
    }
    detail::fail_internal("differentiable: unknown prediction type");
  };
  return differentiable(std::function<Variable(const Variable&, double)>(denoise));
}

}  // namespace sfumato
