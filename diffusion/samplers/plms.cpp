#include "diffusion/samplers/plms.h"

#include <deque>

#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

// Adams-Bashforth, newest first.
Tensor averaged(const std::deque<Tensor>& eps) {
  switch (eps.size()) {
    case 1: return eps[0];
    case 2: return (eps[0] * 3.0 - eps[1]) / 2.0;
    case 3: return (eps[0] * 23.0 - eps[1] * 16.0 + eps[2] * 5.0) / 12.0;
    default: return (eps[0] * 55.0 - eps[1] * 59.0 + eps[2] * 37.0 - eps[3] * 9.0) / 24.0;
  }
}

}  // namespace

Tensor plms_sample(const SigmaDenoiser& denoiser,
                   const Tensor& x,
                   std::span<const double> sigmas,
                   const PlmsOptions& options) {
  std::deque<Tensor> eps;
  const auto step = [&](int64_t i, const Tensor& x_i, double sigma, double sigma_next) -> SolverResult {
    const Tensor x0 = call_denoiser("plms_sample", denoiser, x_i, sigma);
    eps.push_front((x_i - x0) / sigma);
    if (eps.size() > 4) eps.pop_back();
    if (sigma_next == 0) return {x0, x0};
    Tensor direction = averaged(eps);
    if (i == 0) {  // nothing to look back to: the mean with eps at a trial step's end
      const Tensor trial = x_i + direction * (sigma_next - sigma);
      const Tensor ahead = (trial - call_denoiser("plms_sample", denoiser, trial, sigma_next)) / sigma_next;
      direction = (direction + ahead) / 2.0;
    }
    return {x0, x_i + direction * (sigma_next - sigma)};
  };
  return walk_down("plms_sample", x, sigmas, options.on_step, step);
}

}  // namespace sfumato
