// The trace of a denoiser's Jacobian, exactly or by Hutchinson's estimator: what change of variables needs along an
// ODE.
//
//   DifferentiableDenoiser denoiser = differentiable(oracle);
//   Tensor exact = exact_trace(denoiser, x, sigma);                                             // (N)
//   Tensor guess = hutchinson_trace(denoiser, x, sigma, draw_probe(ProbeKind::rademacher, x));  // (N)
//
// E v^T J v = tr J for independent entries v of mean 0 and variance 1. With signs (Rademacher) its variance is
// 2 sum_{i != j} J_ij² for a symmetric J, which is nothing for a diagonal one; with normal entries the diagonal counts,
// too.
#pragma once

#include <functional>

#include "autograd/variable.h"
#include "diffusion/oracle/oracle.h"

namespace sfumato {

// D(x; sigma), and v^T dD/dx for each row.
struct DenoiserProduct {
  Tensor x0;
  Tensor product;
};
using DifferentiableDenoiser = std::function<DenoiserProduct(const Tensor& x, double sigma, const Tensor& v)>;

// In closed form: Cov(x_0 | x) v / sigma².
DifferentiableDenoiser differentiable(const Oracle& oracle);
// By a backward pass through D written in Variables, as of a network. Rows must not depend on one another.
DifferentiableDenoiser differentiable(const std::function<Variable(const Variable& x, double sigma)>& denoiser);

enum class ProbeKind { rademacher, gaussian };
// A probe of x's shape and dtype from the RandomScope in force.
Tensor draw_probe(ProbeKind kind, const Tensor& x);

// v^T J v, (N).
Tensor hutchinson_trace(const DifferentiableDenoiser& denoiser, const Tensor& x, double sigma, const Tensor& v);
// tr J, (N), by one product for each of a sample's numbers.
Tensor exact_trace(const DifferentiableDenoiser& denoiser, const Tensor& x, double sigma);

}  // namespace sfumato
