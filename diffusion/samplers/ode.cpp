#include "diffusion/samplers/ode.h"

#include <algorithm>
#include <array>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"

namespace sfumato {

namespace {

constexpr std::array<double, 7> kTime{0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
constexpr double kStage[7][6] = {
    {},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84},  // the fifth-order result
};
// Fifth order minus fourth.
constexpr std::array<double, 7> kError{71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                       -17253.0 / 339200, 22.0 / 525, -1.0 / 40};

using Stages = std::array<Tensor, 7>;

// sum_k weights_k h k_k
Tensor combine(const Stages& k, const double* weights, size_t count, double h) {
  Tensor sum = k[0] * (h * weights[0]);
  for (size_t i = 1; i < count; ++i) {
    if (weights[i] != 0) sum = sum + k[i] * (h * weights[i]);
  }
  return sum;
}

// The worst row's root mean square of error in units of what is allowed.
double badness(const Tensor& error, const Tensor& y, const Tensor& y_next, const OdeOptions& options) {
  const Tensor allowed = affine(maximum(abs(y), abs(y_next)), options.rtol, options.atol);
  const Tensor squares = square(error / allowed);
  return std::sqrt(amax(mean(squares.reshape({y.size(0), y.numel() / y.size(0)}), {1})).item());
}

}  // namespace

OdeResult dormand_prince(const std::function<Tensor(double, const Tensor&)>& derivative,
                         const Tensor& y,
                         double t_start,
                         double t_end,
                         const OdeOptions& options) {
  check(options.rtol >= 0 && options.atol > 0, "dormand_prince: needs rtol >= 0 and atol > 0, got ", options.rtol,
        " and ", options.atol);
  check(y.dim() >= 1 && y.numel() > 0 && is_floating(y.dtype()), "dormand_prince: y must be (N, ...) floating, got ",
        y.shape(), " ", y.dtype());
  OdeResult result{.y = y};
  const auto f = [&](double t, const Tensor& at) {
    ++result.evaluations;
    return derivative(t, at);
  };
  double t = t_start, h = (t_end - t_start) / 100;
  Stages k;
  k[0] = f(t, result.y);
  while (t != t_end) {
    check(result.accepted + result.rejected < options.max_steps, "dormand_prince: ", options.max_steps,
          " steps led only to t = ", t);
    const bool last = std::abs(h) >= std::abs(t_end - t);
    if (last) h = t_end - t;
    Tensor next;
    for (size_t i = 1; i < 7; ++i) {
      next = result.y + combine(k, kStage[i], i, h);
      k[i] = f(t + kTime[i] * h, next);
    }
    const double bad = badness(combine(k, kError.data(), 7, h), result.y, next, options);
    check(std::isfinite(bad), "dormand_prince: the derivative is not finite at t = ", t);
    if (bad <= 1) {
      t = last ? t_end : t + h;
      result.y = next;
      k[0] = k[6];
      ++result.accepted;
    } else {
      ++result.rejected;
    }
    h *= std::clamp(0.9 * std::pow(std::max(bad, 1e-10), -0.2), 0.2, 5.0);
  }
  return result;
}

Tensor probability_flow_sample(const SigmaDenoiser& denoiser, const Tensor& x, const ProbabilityFlowOptions& options) {
  check_solver("probability_flow_sample", x, std::array{options.sigma_max, options.sigma_min});
  check(options.sigma_min > 0, "probability_flow_sample: sigma_min must be positive, got ", options.sigma_min);
  const auto slope = [&](double log_sigma, const Tensor& at) {
    return at - call_denoiser("probability_flow_sample", denoiser, at, std::exp(log_sigma));
  };
  const Tensor end = dormand_prince(slope, x, std::log(options.sigma_max), std::log(options.sigma_min), options.ode).y;
  return options.to_zero ? call_denoiser("probability_flow_sample", denoiser, end, options.sigma_min) : end;
}

}  // namespace sfumato
