#include "diffusion/process/edm.h"

#include <cmath>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

EdmScaling edm_scaling(double sigma, double sigma_data) {
  check(sigma > 0 && sigma_data > 0, "edm_scaling: sigma and sigma_data must be positive, got ", sigma, " and ",
        sigma_data);
  const double total = sigma * sigma + sigma_data * sigma_data, out = sigma * sigma_data / std::sqrt(total);
  return {.skip = sigma_data * sigma_data / total,
          .out = out,
          .in = 1 / std::sqrt(total),
          .noise = std::log(sigma) / 4,
          .weight = 1 / (out * out)};
}

Tensor edm_target(const Tensor& x0, const Tensor& x, double sigma, double sigma_data) {
  const EdmScaling c = edm_scaling(sigma, sigma_data);
  return (x0 - x * c.skip) / c.out;
}

Tensor edm_network_output(const SigmaDenoiser& denoiser, const Tensor& x, double sigma, double sigma_data) {
  return edm_target(call_denoiser("edm_network_output", denoiser, x, sigma), x, sigma, sigma_data);
}

Tensor edm_loss(const SigmaDenoiser& denoiser, const Tensor& x0, const Tensor& noise, double sigma, double sigma_data) {
  check(x0.shape() == noise.shape() && x0.dim() >= 1 && x0.numel() > 0, "edm_loss: x0 has shape ", x0.shape(),
        " and noise ", noise.shape());
  const Tensor x = x0 + noise * sigma;
  const Tensor error = edm_network_output(denoiser, x, sigma, sigma_data) - edm_target(x0, x, sigma, sigma_data);
  return mean(square(error).reshape({x0.size(0), x0.numel() / x0.size(0)}), {1});
}

SigmaDenoiser edm_denoiser(const Denoiser& network, double sigma_data) {
  return [=](const Tensor& x, double sigma) {
    const EdmScaling c = edm_scaling(sigma, sigma_data);
    return x * c.skip + call_denoiser("edm_denoiser", network, x * c.in, c.noise).prediction * c.out;
  };
}

}  // namespace sfumato
