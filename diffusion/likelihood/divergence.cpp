#include "diffusion/likelihood/divergence.h"

#include <algorithm>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato {

DifferentiableDenoiser differentiable(const Oracle& oracle) {
  return [=](const Tensor& x, double sigma, const Tensor& v) {
    const NoiseLevel level{1, sigma};
    return DenoiserProduct{oracle.posterior_mean(x, level),
                           oracle.posterior_covariance_times(x, v, level) / (sigma * sigma)};
  };
}

DifferentiableDenoiser differentiable(const std::function<Variable(const Variable&, double)>& denoiser) {
  return [=](const Tensor& x, double sigma, const Tensor& v) {
    const Variable input(x, /*requires_grad=*/true);
    const Variable output = denoiser(input, sigma);
    check(output.shape() == x.shape(), "differentiable: the denoiser returned ", output.shape(), " for images of ",
          x.shape());
    return DenoiserProduct{output.tensor(), grad(output, std::span(&input, 1), v)[0].tensor()};
  };
}

Tensor draw_probe(ProbeKind kind, const Tensor& x) {
  const Tensor normal = randn(x.shape(), "trace-probe", x.dtype());
  return kind == ProbeKind::gaussian ? normal : copysign(full({}, 1, x.dtype()), normal);
}

Tensor hutchinson_trace(const DifferentiableDenoiser& denoiser, const Tensor& x, double sigma, const Tensor& v) {
  check(v.shape() == x.shape(), "hutchinson_trace: the probe has shape ", v.shape(), " but x ", x.shape());
  return sum((denoiser(x, sigma, v).product * v).reshape({x.size(0), -1}), {1});
}

Tensor exact_trace(const DifferentiableDenoiser& denoiser, const Tensor& x, double sigma) {
  const int64_t dims = x.numel() / std::max<int64_t>(x.size(0), 1);
  Tensor trace = zeros({x.size(0)}, x.dtype());
  for (int64_t d = 0; d < dims; ++d) {
    Tensor v = zeros({x.size(0), dims}, x.dtype());
    select(v, 1, d).fill(1);
    trace = trace + hutchinson_trace(denoiser, x, sigma, v.reshape(x.shape()));
  }
  return trace;
}

}  // namespace sfumato
