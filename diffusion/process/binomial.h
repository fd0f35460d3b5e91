// The binomial process of Sohl-Dickstein et al. 2015 (appendix B and table C.1): bits that are replaced, each with
// probability beta_t, by fair coin flips.
//
//   NoiseSchedule schedule = harmonic_schedule(2000);
//   Tensor p = binomial_marginal(schedule, x0, t);                          // P(x_t = 1 | x_0)
//   Tensor x_t = bernoulli(p, rand(p.shape(), "bits", p.dtype()));
//   Tensor b = binomial_posterior(schedule, x_t, x0, t);                    // P(x_{t-1} = 1 | x_t, x_0)
//
//   q(x_t = 1 | x_{t-1}) = (1 - beta_t) x_{t-1} + beta_t / 2,    q(x_t = 1 | x_0) = A_t x_0 + (1 - A_t) / 2
//
// with A_t = prod (1 - beta_s) as in every schedule here. Bits are 0 and 1 in f32 or f64, t is (N) as for the Gaussian
// process.
#pragma once

#include "diffusion/schedule/noise_schedule.h"
#include "tensor/tensor.h"

namespace sfumato {

// P(x_t = 1 | x_0).
Tensor binomial_marginal(const NoiseSchedule& schedule, const Tensor& x0, const Tensor& t);
// P(x_t = 1 | x_{t-1}).
Tensor binomial_step(const NoiseSchedule& schedule, const Tensor& x_previous, const Tensor& t);
// P(x_{t-1} = 1 | x_t, x_0) by Bayes' rule; for t = 0 it is x_0.
Tensor binomial_posterior(const NoiseSchedule& schedule, const Tensor& x_t, const Tensor& x0, const Tensor& t);
// 1 where u < p, else 0, for u uniform in [0, 1).
Tensor bernoulli(const Tensor& p, const Tensor& u);
// KL(Bernoulli(p) || Bernoulli(q)) of each entry, in nats; 0 ln 0 = 0.
Tensor bernoulli_kl(const Tensor& p, const Tensor& q);
// log P(x) of bits x under probabilities p, of each entry, in nats.
Tensor bernoulli_log_likelihood(const Tensor& x, const Tensor& p);

}  // namespace sfumato
