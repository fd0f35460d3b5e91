#include "diffusion/likelihood/variational_bound.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "diffusion/likelihood/decoder.h"
#include "diffusion/process/gaussian.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/random.h"

namespace sfumato {

namespace {

Tensor sum_of_each(const Tensor& x) { return sum(x.reshape({x.size(0), -1}), {1}); }

Tensor log_normal_density(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  return (square(x - mean) / variance + log(variance * (2 * std::numbers::pi))) * -0.5;
}

VlbTerm term_of(const Denoiser& denoiser,
                const NoiseSchedule& schedule,
                const Tensor& x0,
                int64_t t,
                const Tensor& noise,
                const VlbOptions& options) {
  check(x0.dim() >= 1 && x0.numel() > 0, "vlb_term: x0 must be (N, ...), got ", x0.shape());
  const Tensor times = full({x0.size(0)}, static_cast<double>(t), DType::i64);
  const Tensor x_t = q_sample(schedule, x0, times, noise);
  const ReverseStep model = reverse_step(denoiser, schedule, {t, t - 1}, x_t, options.prediction, options.variance);
  const Tensor distortion = sum_of_each(square(model.x0 - x0)) / static_cast<double>(x0.numel() / x0.size(0));
  if (t == 0) {
    const Tensor log_p = options.decoder == VlbDecoder::continuous
                             ? log_normal_density(x0, model.mean, model.variance)
                             : discretized_gaussian_log_likelihood(x0, model.mean, model.variance);
    return {-sum_of_each(log_p), distortion};
  }
  const Posterior truth = q_posterior(schedule, x_t, x0, times);
  const Tensor ratio = truth.variance / model.variance;
  const Tensor shift = square(truth.mean - model.mean) / model.variance;
  return {sum_of_each((ratio - log(ratio) + shift - 1.0) * 0.5), distortion};
}

}  // namespace

Tensor vlb_prior_term(const NoiseSchedule& schedule, const Tensor& x0) {
  check(x0.dim() >= 1 && x0.numel() > 0, "vlb_prior_term: x0 must be (N, ...), got ", x0.shape());
  const double a = schedule.alpha_cumprod(schedule.num_timesteps() - 1);
  return sum_of_each(affine(square(x0), a / 2, -(a + std::log1p(-a)) / 2));
}

Tensor vlb_term(const Denoiser& denoiser,
                const NoiseSchedule& schedule,
                const Tensor& x0,
                int64_t t,
                const Tensor& noise,
                const VlbOptions& options) {
  return term_of(denoiser, schedule, x0, t, noise, options).nats;
}

VlbTerm vlb_term_drawn(
    const Denoiser& denoiser, const NoiseSchedule& schedule, const Tensor& x0, int64_t t, const VlbOptions& options) {
  const RandomState state = RandomScope::current();
  const RandomScope scope({.seed = state.seed, .step = t, .first_sample = state.first_sample});
  return term_of(denoiser, schedule, x0, t, randn(x0.shape(), "vlb-noise", x0.dtype()), options);
}

double VlbLedger::total() const { return std::accumulate(terms.begin(), terms.end(), prior); }

double VlbLedger::rate(int64_t t) const {
  check(t >= 0 && t < static_cast<int64_t>(terms.size()), "rate: t must lie in 0..", terms.size(), " - 1, got ", t);
  return std::accumulate(terms.begin() + t + 1, terms.end(), prior);
}

VlbLedger variational_bound(const Denoiser& denoiser,
                            const NoiseSchedule& schedule,
                            const Tensor& x0,
                            const VlbOptions& options) {
  VlbLedger ledger{.prior = mean(vlb_prior_term(schedule, x0)).item(), .terms = {}, .distortion = {}};
  for (int64_t t = 0; t < schedule.num_timesteps(); ++t) {
    const VlbTerm term = vlb_term_drawn(denoiser, schedule, x0, t, options);
    ledger.terms.push_back(mean(term.nats).item());
    ledger.distortion.push_back(mean(term.distortion).item());
  }
  return ledger;
}

VlbLedger gaussian_variational_bound(const NoiseSchedule& schedule,
                                     double mean,
                                     double variance,
                                     VarianceType model_variance) {
  check(variance > 0, "gaussian_variational_bound: the data's variance must be positive, got ", variance);
  const int64_t last = schedule.num_timesteps() - 1;
  const double a_T = schedule.alpha_cumprod(last);
  VlbLedger ledger{.prior = (a_T * (variance + mean * mean - 1) - std::log1p(-a_T)) / 2, .terms = {}, .distortion = {}};
  const auto marginal = [&](int64_t t) { return schedule.alpha_cumprod(t) * (variance - 1) + 1; };
  for (int64_t t = 0; t <= last; ++t) {
    const double tau = schedule.beta(t) * marginal(t - 1) / marginal(t);
    const bool is_large = model_variance == VarianceType::fixed_large && t > 0;
    double g2 = is_large ? schedule.beta(t) : schedule.posterior_variance(t == 0 && last > 0 ? 1 : t);
    if (model_variance == VarianceType::learned) g2 = tau;
    ledger.terms.push_back(t == 0 ? 0.5 * (std::log(2 * std::numbers::pi * g2) + tau / g2)
                                  : 0.5 * (std::log(g2 / schedule.posterior_variance(t)) + tau / g2 - 1));
    ledger.distortion.push_back(variance * (1 - schedule.alpha_cumprod(t)) / marginal(t));
  }
  return ledger;
}

}  // namespace sfumato
