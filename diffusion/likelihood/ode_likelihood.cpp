#include "diffusion/likelihood/ode_likelihood.h"

#include <cmath>
#include <numbers>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato {

namespace {

std::vector<Tensor> draw_probes(const OdeLikelihoodOptions& options, const Tensor& x) {
  const RandomState state = RandomScope::current();
  std::vector<Tensor> probes;
  for (int64_t k = 0; k < options.probes; ++k) {
    const RandomScope scope({.seed = state.seed, .step = k, .first_sample = state.first_sample});
    probes.push_back(draw_probe(options.probe_kind, x));
  }
  return probes;
}

// D and tr dD/dx at one place. The probes' products bring D along; the exact trace asks for it once more.
struct Slope {
  Tensor x0, trace;
};
Slope slope_of(const DifferentiableDenoiser& denoiser,
               const std::vector<Tensor>& probes,
               const Tensor& at,
               double sigma) {
  if (probes.empty()) return {denoiser(at, sigma, at).x0, exact_trace(denoiser, at, sigma)};
  Slope slope{{}, zeros({at.size(0)}, at.dtype())};
  for (const Tensor& v : probes) {
    const DenoiserProduct out = denoiser(at, sigma, v);
    slope.x0 = out.x0;
    slope.trace = slope.trace + sum((out.product * v).reshape({at.size(0), -1}), {1});
  }
  slope.trace = slope.trace / static_cast<double>(probes.size());
  return slope;
}

}  // namespace

Tensor normal_log_density(const Tensor& x, double stddev) {
  const auto dims = static_cast<double>(x.numel() / x.size(0));
  return affine(sum(square(x).reshape({x.size(0), -1}), {1}), -0.5 / (stddev * stddev),
                -0.5 * dims * std::log(2 * std::numbers::pi * stddev * stddev));
}

Tensor ode_log_likelihood(const DifferentiableDenoiser& denoiser,
                          const Tensor& x,
                          const OdeLikelihoodOptions& options) {
  check(x.dim() >= 1 && x.numel() > 0 && is_floating(x.dtype()),
        "ode_log_likelihood: x must be (N, ...) floating, got ", x.shape(), " ", x.dtype());
  check(options.sigma_min > 0 && options.sigma_max > options.sigma_min && options.probes >= 0,
        "ode_log_likelihood: needs 0 < sigma_min < sigma_max and no negative number of probes, got ", options.sigma_min,
        ", ", options.sigma_max, " and ", options.probes);
  const int64_t count = x.size(0), dims = x.numel() / count;
  const std::vector<Tensor> probes = draw_probes(options, x);
  // The state of a row is its image and, behind it, the integral so far.
  const auto derivative = [&](double log_sigma, const Tensor& state) {
    const double sigma = std::exp(log_sigma);
    const Tensor at = narrow(state, 1, 0, dims).reshape(x.shape()).contiguous();
    const Slope slope = slope_of(denoiser, probes, at, sigma);
    const Tensor drift = at - slope.x0;
    const Tensor expansion = affine(slope.trace, -1, static_cast<double>(dims));
    return cat({drift.reshape({count, dims}), expansion.reshape({count, 1})}, 1);
  };
  const Tensor start = cat({x.reshape({count, dims}), zeros({count, 1}, x.dtype())}, 1);
  const Tensor end =
      dormand_prince(derivative, start, std::log(options.sigma_min), std::log(options.sigma_max), options.ode).y;
  const Tensor x_end = narrow(end, 1, 0, dims).reshape(x.shape()).contiguous();
  const Tensor prior =
      options.prior_log_density ? options.prior_log_density(x_end) : normal_log_density(x_end, options.sigma_max);
  return prior + narrow(end, 1, dims, 1).reshape({count});
}

}  // namespace sfumato
