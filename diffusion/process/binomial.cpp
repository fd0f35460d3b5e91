#include "diffusion/process/binomial.h"

#include <algorithm>
#include <cmath>

#include "diffusion/process/per_sample.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

namespace {

// f of each pair of entries, in f64.
template <class F>
Tensor pairwise(std::string_view op, const Tensor& a, const Tensor& b, F&& f) {
  check(a.shape() == b.shape(), op, ": shapes differ, ", a.shape(), " and ", b.shape());
  std::vector<double> out = a.to_vector();
  const std::vector<double> other = b.to_vector();
  for (size_t i = 0; i < out.size(); ++i) out[i] = f(out[i], other[i]);
  return tensor_of(out, a.shape(), a.dtype());
}

// p ln(p / q).
double term(double p, double q) { return p == 0 ? 0 : p * std::log(p / q); }

}  // namespace

Tensor binomial_marginal(const NoiseSchedule& schedule, const Tensor& x0, const Tensor& t) {
  const Tensor keep = per_sample("binomial_marginal", t, x0, [&](int64_t i) { return schedule.alpha_cumprod(i); });
  return (x0 - 0.5) * keep + 0.5;
}

Tensor binomial_step(const NoiseSchedule& schedule, const Tensor& x_previous, const Tensor& t) {
  const Tensor keep = per_sample("binomial_step", t, x_previous, [&](int64_t i) { return schedule.alpha(i); });
  return (x_previous - 0.5) * keep + 0.5;
}

Tensor binomial_posterior(const NoiseSchedule& schedule, const Tensor& x_t, const Tensor& x0, const Tensor& t) {
  const auto previous = [&](int64_t i) { return schedule.alpha_cumprod(i - 1); };
  const Tensor prior = (x0 - 0.5) * per_sample("binomial_posterior", t, x0, previous) + 0.5;
  // q(x_t | x_{t-1}) is symmetric, so as a function of x_{t-1} it is the step from x_t.
  const Tensor one = binomial_step(schedule, x_t, t), zero = 1.0 - one;
  const Tensor weight = prior * one;
  return weight / (weight + (1.0 - prior) * zero);
}

Tensor bernoulli(const Tensor& p, const Tensor& u) {
  return pairwise("bernoulli", u, p, [](double draw, double probability) { return draw < probability ? 1.0 : 0.0; });
}

Tensor bernoulli_kl(const Tensor& p, const Tensor& q) {
  return pairwise("bernoulli_kl", p, q, [](double a, double b) { return term(a, b) + term(1 - a, 1 - b); });
}

Tensor bernoulli_log_likelihood(const Tensor& x, const Tensor& p) {
  return pairwise("bernoulli_log_likelihood", x, p,
                  [](double bit, double probability) { return std::log(bit == 1 ? probability : 1 - probability); });
}

}  // namespace sfumato
