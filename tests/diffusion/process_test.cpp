#include <algorithm>
#include <cmath>

#include "catch.h"
#include "diffusion/objective/objective.h"
#include "diffusion/process/gaussian.h"
#include "diffusion/process/prediction.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

Tensor normal(const Shape& shape, std::string_view purpose, DType dtype = DType::f64) {
  return randn(shape, purpose, dtype);
}

Tensor timesteps(std::initializer_list<int64_t> values) {
  Tensor t = Tensor::empty({static_cast<int64_t>(values.size())}, DType::i64);
  std::copy(values.begin(), values.end(), t.mutable_data<int64_t>());
  return t;
}

Tensor repeated(int64_t t, int64_t count) {
  Tensor out = Tensor::empty({count}, DType::i64);
  std::fill_n(out.mutable_data<int64_t>(), count, t);
  return out;
}

double at(const Tensor& x, size_t i) { return x.to_vector()[i]; }

// The largest gap between the empirical distribution of `values` and N(0, 1).
double kolmogorov_smirnov(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const double n = static_cast<double>(values.size());
  double gap = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double cdf = 0.5 * std::erfc(-values[i] / std::sqrt(2.0));
    gap = std::max({gap, cdf - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - cdf});
  }
  return gap;
}

}  // namespace

TEST_CASE("q_sample: each sample has its own level", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x0 = normal({3, 2, 2}, "x0"), noise = normal({3, 2, 2}, "noise");
  const Tensor x = q_sample(ho, x0, timesteps({0, 249, 999}), noise);
  REQUIRE(x.shape() == Shape{3, 2, 2});
  const std::vector<double> a{0.9999, 0.5240853738, 4.0358297654e-5};
  for (size_t i = 0; i < 12; ++i) {
    const double total = a[i / 4];
    CHECK(at(x, i) == Approx(std::sqrt(total) * at(x0, i) + std::sqrt(1 - total) * at(noise, i)).epsilon(1e-8));
  }
  const Tensor x32 = q_sample(ho, x0.to(DType::f32), timesteps({0, 249, 999}), noise.to(DType::f32));
  CHECK(x32.dtype() == DType::f32);
  CHECK(allclose(x32.to(DType::f64), x, 1e-5, 1e-6));
}

TEST_CASE("q_sample: a wrong timestep or shape is refused", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_AS(q_sample(ho, x, timesteps({0, 1000}), x), Error);
  CHECK_THROWS_AS(q_sample(ho, x, timesteps({-1, 0}), x), Error);
  CHECK_THROWS_AS(q_sample(ho, x, timesteps({0}), x), Error);
  CHECK_THROWS_AS(q_sample(ho, x, zeros({2}), x), Error);
  CHECK_THROWS_AS(q_sample(ho, x, timesteps({0, 0}), zeros({2, 1})), Error);
}

TEST_CASE("forward process: step by step equals the closed form, path by path", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x0 = normal({2, 3}, "x0");
  std::vector<Tensor> noises;
  Tensor x = x0;
  for (int64_t t = 0; t < 1000; ++t) {
    RandomScope scope({.seed = 3, .step = t, .first_sample = 0});
    noises.push_back(normal({2, 3}, "noise"));
    x = q_step(ho, x, repeated(t, 2), noises.back());
    if (t == 0 || t == 99 || t == 999) {
      CHECK(allclose(x, q_sample(ho, x0, repeated(t, 2), equivalent_noise(ho, noises)), 1e-12, 1e-12));
    }
  }
}

TEST_CASE("forward process: both ways have the same distribution and covariance", "[diffusion]") {
  // Large steps, so that a wrong coefficient shows: beta from 0.05 to 0.4 in 10 steps.
  const NoiseSchedule steep = linear_schedule(10, 0.05, 0.4);
  const int64_t count = 20000;
  const Tensor x0 = full({count, 1}, 1.7, DType::f64);
  Tensor x = x0, early;
  for (int64_t t = 0; t < 10; ++t) {
    RandomScope scope({.seed = 11, .step = t, .first_sample = 0});
    x = q_step(steep, x, repeated(t, count), normal({count, 1}, "noise"));
    if (t == 3) early = x;
  }
  const Tensor direct = q_sample(steep, x0, repeated(9, count), normal({count, 1}, "direct"));
  const NoiseLevel level = steep.level(9);
  const double critical = 1.63 / std::sqrt(static_cast<double>(count));  // 1 %
  for (const Tensor& sample : {x, direct}) {
    CHECK(kolmogorov_smirnov(affine(sample, 1 / level.noise, -1.7 * level.signal / level.noise).to_vector()) <
          critical);
  }
  // Cov(x_s, x_t) = sqrt(A_t / A_s) Var(x_s).
  const double var_early = 1 - steep.alpha_cumprod(3);
  const double wanted = std::sqrt(steep.alpha_cumprod(9) / steep.alpha_cumprod(3)) * var_early;
  const Tensor product = (early - mean(early).item()) * (x - mean(x).item());
  CHECK(mean(product).item() == Approx(wanted).margin(4 * std::sqrt(var_early / static_cast<double>(count))));
}

TEST_CASE("q_posterior: is Bayes' rule for two Gaussians", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x0 = normal({4, 2}, "x0"), x_t = normal({4, 2}, "x_t");
  const Tensor t = timesteps({1, 10, 500, 999});
  const Posterior posterior = q_posterior(ho, x_t, x0, t);
  REQUIRE(posterior.variance.shape() == Shape{4, 1});
  for (size_t i = 0; i < 8; ++i) {
    const int64_t index = t.data<int64_t>()[i / 2];
    const double prior_variance = 1 - ho.alpha_cumprod(index - 1);
    const double precision = ho.alpha(index) / ho.beta(index) + 1 / prior_variance;
    const double information = std::sqrt(ho.alpha(index)) / ho.beta(index) * at(x_t, i) +
                               std::sqrt(ho.alpha_cumprod(index - 1)) / prior_variance * at(x0, i);
    CHECK(at(posterior.variance, i / 2) == Approx(1 / precision).epsilon(1e-9).margin(0));
    CHECK(at(posterior.mean, i) == Approx(information / precision).epsilon(1e-9));
  }
  const Posterior first = q_posterior(ho, x_t, x0, timesteps({0, 0, 0, 0}));
  CHECK(allclose(first.mean, x0, 1e-10, 1e-10));
  CHECK(allclose(first.variance, zeros({4, 1}, DType::f64)));
}

TEST_CASE("q_posterior: on Gaussian data it averages to the true reverse kernel", "[diffusion]") {
  // Data N(m, s²), v_t = A_t s² + 1 - A_t. The posterior, averaged over p(x_0 | x_t), must have mean
  // sqrt(A_{t-1}) m + sqrt(alpha_t) v_{t-1}/v_t (x_t - sqrt(A_t) m) and variance beta_t v_{t-1}/v_t. For s² = 1 this is
  // beta_t ("fixed large" is optimal), for s² = 0 it is beta~_t ("fixed small" is).
  const NoiseSchedule ho = linear_schedule(1000);
  const double m = 0.3, x_t = 1.1;
  for (const double s2 : {0.0, 0.25, 1.0}) {
    for (const int64_t t : {1, 57, 999}) {
      const double a = ho.alpha_cumprod(t), a_previous = ho.alpha_cumprod(t - 1);
      const double v = a * s2 + 1 - a, v_previous = a_previous * s2 + 1 - a_previous;
      const double residual = x_t - std::sqrt(a) * m;
      const double expected_x0 = m + std::sqrt(a) * s2 / v * residual, x0_variance = s2 * (1 - a) / v;
      const auto number = [](double value) { return full({1, 1}, value, DType::f64); };
      const Posterior posterior = q_posterior(ho, number(x_t), number(expected_x0), repeated(t, 1));
      const double slope = q_posterior(ho, number(0), number(1), repeated(t, 1)).mean.item();
      const double tau = posterior.variance.item() + slope * slope * x0_variance;
      CAPTURE(s2, t);
      CHECK(posterior.mean.item() ==
            Approx(std::sqrt(a_previous) * m + std::sqrt(ho.alpha(t)) * v_previous / v * residual).epsilon(1e-10));
      CHECK(tau == Approx(ho.beta(t) * v_previous / v).epsilon(1e-9).margin(0));
      if (s2 == 1) CHECK(tau == Approx(ho.beta(t)).epsilon(1e-9).margin(0));
      if (s2 == 0) CHECK(tau == Approx(ho.posterior_variance(t)).epsilon(1e-9).margin(0));
    }
  }
}

TEST_CASE("predictions: every type gives every other", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x0 = normal({3, 4}, "x0"), eps = normal({3, 4}, "noise"), t = timesteps({0, 300, 999});
  const Tensor x_t = q_sample(ho, x0, t, eps);
  const NoiseLevels level = noise_levels(ho, t, x0);
  const auto types = {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction};
  for (const auto from : types) {
    const Tensor truth = training_target(ho, from, x0, eps, t);
    for (const auto to : types) {
      const Tensor wanted = training_target(ho, to, x0, eps, t);
      CHECK(allclose(convert_prediction(from, to, truth, x_t, level), wanted, 1e-8, 1e-8));
    }
    const Tensor score = to_score(from, truth, x_t, level);
    CHECK(allclose(score, neg(eps) / level.noise, 1e-8, 1e-8));
    CHECK(allclose(epsilon_from_score(score, level), eps, 1e-8, 1e-8));
  }
  // One level for the batch is the same as equal levels per sample.
  const Tensor same = repeated(300, 3);
  CHECK(allclose(to_x0(PredictionType::v_prediction, eps, x0, ho.level(300)),
                 to_x0(PredictionType::v_prediction, eps, x0, noise_levels(ho, same, x0)), 1e-12, 1e-12));
}

TEST_CASE("predictions: the score of Gaussian data", "[diffusion]") {
  // E[x_0 | x_t] = m + sqrt(A) s²/v (x_t - sqrt(A) m) must turn into the score of the marginal, -(x_t - sqrt(A) m) / v.
  const NoiseSchedule ho = linear_schedule(1000);
  const double m = -0.4, s2 = 0.25, a = ho.alpha_cumprod(400), v = a * s2 + 1 - a;
  const Tensor x_t = normal({5, 1}, "x_t");
  const Tensor residual = x_t - std::sqrt(a) * m;
  const Tensor denoised = affine(residual, std::sqrt(a) * s2 / v, m);
  CHECK(allclose(to_score(PredictionType::sample, denoised, x_t, ho.level(400)), residual * (-1 / v), 1e-10, 1e-12));
}

TEST_CASE("objective: v is the derivative of the mixture along the circle", "[diffusion]") {
  // With x = cos(phi) x_0 + sin(phi) eps, v = dx/dphi = cos(phi) eps - sin(phi) x_0.
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x0 = normal({1, 4}, "x0"), eps = normal({1, 4}, "noise");
  const double phi = std::atan2(ho.level(123).noise, ho.level(123).signal), h = 1e-5;
  const auto mixture = [&](double angle) { return x0 * std::cos(angle) + eps * std::sin(angle); };
  const Tensor v = training_target(ho, PredictionType::v_prediction, x0, eps, repeated(123, 1));
  CHECK(allclose(v, (mixture(phi + h) - mixture(phi - h)) / (2 * h), 1e-8, 1e-8));
}

TEST_CASE("objective: min-SNR counts the same error alike for every prediction type", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor t = timesteps({0, 100, 200, 999});
  const Tensor simple = loss_weights(ho, PredictionType::epsilon, t, {});
  CHECK(simple.shape() == Shape{4});
  CHECK(allclose(simple, ones({4})));
  const Tensor x0 = normal({4, 1}, "x0"), eps = normal({4, 1}, "noise"), x_t = q_sample(ho, x0, t, eps);
  const Tensor wrong_x0 = x0 + 0.1;
  const NoiseLevels level = noise_levels(ho, t, x0);
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
    const Tensor output = convert_prediction(PredictionType::sample, type, wrong_x0, x_t, level);
    const Tensor error = square(output - training_target(ho, type, x0, eps, t)).reshape({4});
    const Tensor weighted = loss_weights(ho, type, t, {.min_snr_gamma = 5}, DType::f64) * error;
    for (size_t i = 0; i < 4; ++i) {
      const double snr = ho.snr(t.data<int64_t>()[i]);
      CHECK(at(weighted, i) == Approx(std::min(snr, 5.0) * 0.01).epsilon(1e-7).margin(0));
    }
  }
  CHECK_THROWS_AS(loss_weights(ho, PredictionType::epsilon, t, {.min_snr_gamma = -1}), Error);
}
