// Facts 1 to 4, 7 to 10 and 15: Gaussian data under the discrete process. Each expectation is computed here.
#include "diffusion/process/gaussian.h"
#include "diffusion/likelihood/variational_bound.h"
#include "diffusion/oracle/oracle.h"
#include "diffusion/samplers/ancestral.h"
#include "tensor/ops/join.h"
#include "tensor/random.h"
#include "tests/oracle/support.h"

using namespace sfumato;
using namespace sfumato::oracle_tests;

namespace {

Oracle gaussian(double m, double s2) { return gaussian_oracle(full({1}, m, DType::f64), s2); }

// A network that predicts x_0 and, in a second channel, the variance tau_t of the true reverse step.
Denoiser with_optimal_variance(double m, double s2) {
  const Denoiser mean = denoiser_of(gaussian(m, s2), ho(), PredictionType::sample);
  return [=](const Tensor& x, const Tensor& t) {
    const size_t time = static_cast<size_t>(t.to_vector()[0]) + 1;
    return cat({mean(x, t), full(x.shape(), lecture().tau(time, s2), DType::f64)}, 1);
  };
}

const PredictionOptions kSample{.type = PredictionType::sample};

Tensor step_index(size_t lecture_t, int64_t count) {
  return full({count}, static_cast<double>(lecture_t - 1), DType::i64);
}

}  // namespace

TEST_CASE("oracle 01 the optimal denoiser, its variance, score and eps on a Gaussian", "[oracle]") {
  const double m = 0.3;
  const Tensor x = row({-1.7, 0.2, 2.4});
  for (const double s2 : {0.01, 0.25, 1.0}) {
    for (const size_t t : {1, 100, 500, 1000}) {
      const double a = lecture().A[t], v = lecture().v(t, s2);
      std::vector<double> mean, score, eps;
      for (const double value : x.to_vector()) {
        const double residual = value - std::sqrt(a) * m;
        mean.push_back(m + std::sqrt(a) * s2 / v * residual);
        score.push_back(-residual / v);
        eps.push_back(std::sqrt(1 - a) * residual / v);
      }
      const NoiseLevel level = ho().level(static_cast<int64_t>(t) - 1);
      const Oracle data = gaussian(m, s2);
      check_close(data.posterior_mean(x, level), mean, 1e-12);
      check_close(data.score(x, level), score, 1e-10);
      check_close(data.posterior_variance(x, level), std::vector(3, s2 * (1 - a) / v), 1e-12);
      check_close(denoiser_of(data, ho(), PredictionType::epsilon)(x, step_index(t, 3)), eps, 1e-9);
      // Variance exploding: A is 1 and sigma² stands for 1 - A.
      const double sigma = 0.7;
      check_close(sigma_denoiser(data)(row({1.1}), sigma), {m + s2 / (s2 + sigma * sigma) * (1.1 - m)}, 1e-12);
    }
  }
}

TEST_CASE("oracle 02 the true reverse kernel, and when fixed large and fixed small are right", "[oracle]") {
  const double m = 0.3, x_t = 1.1;
  for (const double s2 : {1e-12, 0.25, 1.0}) {  // a mixture's components cannot be points
    const GaussianMixture data({{.weight = 1, .mean = m, .stddev = std::sqrt(s2)}});
    for (const size_t t : {2, 58, 1000}) {
      const double v = lecture().v(t, s2), v_previous = lecture().v(t - 1, s2);
      const double mean = std::sqrt(lecture().A[t - 1]) * m +
                          std::sqrt(lecture().alpha[t]) * v_previous / v * (x_t - std::sqrt(lecture().A[t]) * m);
      const auto index = static_cast<int64_t>(t) - 1;
      const GaussianMixture kernel = reverse_kernel(data, ho(), index, x_t);
      CHECK(kernel.mean() == Approx(mean).epsilon(1e-10));
      CHECK(kernel.variance() == Approx(lecture().tau(t, s2)).epsilon(1e-9).margin(0));
      const auto of_sampler = [&](VarianceType type) {
        return std::pow(ancestral_step(ho(), {index, index - 1}, type).sigma, 2);
      };
      if (s2 == 1) CHECK(of_sampler(VarianceType::fixed_large) == Approx(kernel.variance()).epsilon(1e-9).margin(0));
      if (s2 < 0.1) CHECK(of_sampler(VarianceType::fixed_small) == Approx(kernel.variance()).epsilon(1e-7).margin(0));
      // The sampler's mean with the optimal denoiser is the kernel's.
      const ReverseStep step = reverse_step(denoiser_of(gaussian(m, s2), ho(), PredictionType::sample), ho(),
                                            {index, index - 1}, row({x_t}), kSample, VarianceType::fixed_small);
      CHECK(step.mean.item() == Approx(mean).epsilon(1e-10));
    }
  }
}

TEST_CASE("oracle 02 the reverse kernel of a mixture is Bayes' rule", "[oracle]") {
  const GaussianMixture data = GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3");
  for (const int64_t t : {0, 9, 299, 999}) {
    const double beta = ho().beta(t), x_t = 0.4;
    const GaussianMixture kernel = reverse_kernel(data, ho(), t, x_t), before = data.diffused(ho().level(t - 1));
    for (const double x : {-0.3, 0.35, 0.9}) {
      const double step = std::exp(normal_log_density(x_t, std::sqrt(1 - beta) * x, beta));
      const double wanted = before.density(x) * step / data.diffused(ho().level(t)).density(x_t);
      CHECK(kernel.density(x) == Approx(wanted).epsilon(1e-8).margin(1e-12));
    }
  }
}

TEST_CASE("oracle 03 the KL term of the bound for an optimal mean", "[oracle]") {
  const double m = 0.3, s2 = 0.25;
  const Quadrature q = quadrature(m, std::sqrt(s2));
  const Denoiser network = denoiser_of(gaussian(m, s2), ho(), PredictionType::sample);
  for (const size_t t : {2, 10, 500, 1000}) {
    for (const auto type : {VarianceType::fixed_small, VarianceType::fixed_large}) {
      const double small = lecture().posterior_variance(t);
      const double g2 = type == VarianceType::fixed_large ? lecture().beta[t] : small;
      const double wanted = 0.5 * (std::log(g2 / small) + lecture().tau(t, s2) / g2 - 1);
      const Tensor nats = vlb_term(network, ho(), q.x0, static_cast<int64_t>(t) - 1, q.noise,
                                   {.prediction = kSample, .variance = type});
      CHECK(mean(nats).item() == Approx(wanted).epsilon(1e-8).margin(0));
    }
  }
}

TEST_CASE("oracle 04 every term of the bound adds up to the entropy", "[oracle]") {
  struct Row {
    double s2, m, optimal, small, large, total, entropy;
  };
  const std::vector<Row> table{{.25, 0, 3.9121679380, 4.3685163512, 3.9132601706, 0.7257913529, 0.7257913526},
                               {1, .3, 4.6051500064, 5.0700423252, 4.6051500064, 1.4189403493, 1.4189385332},
                               {.01, 0, 2.3075105492, 2.6990939697, 2.3270742233, -0.8836465594, -0.8836465598}};
  for (const auto& [s2, m, optimal, small, large, total, entropy] : table) {
    const Quadrature q = quadrature(m, std::sqrt(s2));
    // The function of the user, averaged exactly over the data; and the closed-form ledger.
    const auto sum_of = [&](const Denoiser& network, VarianceType type, int64_t first) {
      double sum = 0;
      for (int64_t t = first; t < 1000; ++t) {
        sum += mean(vlb_term(network, ho(), q.x0, t, q.noise,
                             {.prediction = kSample, .variance = type, .decoder = VlbDecoder::continuous}))
                   .item();
      }
      return sum;
    };
    const Denoiser plain = denoiser_of(gaussian(m, s2), ho(), PredictionType::sample);
    const Denoiser best = with_optimal_variance(m, s2);
    const auto close = [](double wanted) { return Approx(wanted).epsilon(0).margin(1e-9); };
    CHECK(sum_of(best, VarianceType::learned, 1) == close(optimal));
    CHECK(sum_of(plain, VarianceType::fixed_small, 1) == close(small));
    CHECK(sum_of(plain, VarianceType::fixed_large, 1) == close(large));
    const double prior = mean(vlb_prior_term(ho(), q.x0)).item();
    const double a_T = lecture().A[1000];
    CHECK(prior == Approx(0.5 * (a_T * (s2 + m * m - 1) - std::log1p(-a_T))).epsilon(1e-9));
    const double L_0 = sum_of(best, VarianceType::learned, 0) - sum_of(best, VarianceType::learned, 1);
    CHECK(L_0 ==
          close(0.5 * std::log(2 * std::numbers::pi * std::numbers::e * s2 * lecture().beta[1] / lecture().v(1, s2))));
    CHECK(sum_of(best, VarianceType::learned, 0) + prior == close(total));
    // It telescopes to the entropy and the divergence of q(x_T) from the prior.
    const double v_T = lecture().v(1000, s2);
    const double divergence = 0.5 * (v_T + a_T * m * m - 1 - std::log(v_T));
    CHECK(entropy == close(0.5 * std::log(2 * std::numbers::pi * std::numbers::e * s2)));
    CHECK(entropy + divergence == close(total));

    const auto ledger_sum = [](const VlbLedger& ledger) { return ledger.rate(0) - ledger.prior; };
    CHECK(ledger_sum(gaussian_variational_bound(ho(), m, s2, VarianceType::learned)) == close(optimal));
    CHECK(ledger_sum(gaussian_variational_bound(ho(), m, s2, VarianceType::fixed_small)) == close(small));
    CHECK(ledger_sum(gaussian_variational_bound(ho(), m, s2, VarianceType::fixed_large)) == close(large));
    CHECK(gaussian_variational_bound(ho(), m, s2, VarianceType::learned).total() == close(total));
  }
}

TEST_CASE("oracle 04 the bound estimated from samples agrees with the exact column", "[oracle]") {
  const double m = 0.3, s2 = 0.25;
  const RandomScope scope({.seed = 4});
  const Tensor x0 = gaussian(m, s2).sample(6000);
  const Denoiser network = denoiser_of(gaussian(m, s2), ho(), PredictionType::epsilon);
  const VlbOptions options{.variance = VarianceType::fixed_large, .decoder = VlbDecoder::continuous};
  const VlbLedger found = variational_bound(network, ho(), x0, options);
  const VlbLedger exact = gaussian_variational_bound(ho(), m, s2, options.variance);
  REQUIRE(found.terms.size() == 1000);
  CHECK(found.rate(0) == Approx(exact.rate(0)).epsilon(0.01));
  CHECK(found.total() == Approx(exact.total()).margin(0.1));
  CHECK(found.prior == Approx(exact.prior).epsilon(0.5));
  for (const size_t t : {50, 400, 999}) CHECK(found.distortion[t] == Approx(exact.distortion[t]).epsilon(0.25));
}

TEST_CASE("oracle 07 the mean squared error of eps that no network beats", "[oracle]") {
  for (const auto& [s2, wanted] : {std::pair{0.25, 0.1730534}, std::pair{1.0, 0.2755132}}) {
    const Quadrature q = quadrature(0, std::sqrt(s2));
    const Denoiser network = denoiser_of(gaussian(0, s2), ho(), PredictionType::epsilon);
    double total = 0;
    for (size_t t = 1; t <= 1000; ++t) {
      const Tensor index = step_index(t, 4);
      const double mse = mean(square(network(q_sample(ho(), q.x0, index, q.noise), index) - q.noise)).item();
      total += mse / 1000;
      if (t % 100 == 1) CHECK(mse == Approx(lecture().A[t] * s2 / lecture().v(t, s2)).epsilon(1e-9));
    }
    CHECK(total == Approx(wanted).epsilon(0).margin(5e-8));
  }
}

TEST_CASE("oracle 07 on a mixture it is (A / (1 - A)) tr Cov(x0 | x_t)", "[oracle]") {
  const Oracle data = mixture_oracle(GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3"));
  const RandomScope scope({.seed = 2});
  const Tensor x0 = data.sample(200000), noise = randn({200000, 1}, "noise", DType::f64);
  for (const int64_t t : {99, 499}) {
    const double a = ho().alpha_cumprod(t);
    const Tensor index = full({200000}, static_cast<double>(t), DType::i64);
    const Tensor x_t = q_sample(ho(), x0, index, noise);
    const Tensor eps = denoiser_of(data, ho(), PredictionType::epsilon)(x_t, index);
    const double wanted = a / (1 - a) * mean(data.posterior_variance(x_t, ho().level(t))).item();
    CHECK(mean(square(eps - noise)).item() == Approx(wanted).epsilon(0.02));
  }
}

TEST_CASE("oracle 08 the bound's weights of the eps error", "[oracle]") {
  // Adding d to a predicted eps raises term t by lambda_t d², and nothing else on average.
  const double s2 = 1, d = 0.5;
  const Quadrature q = quadrature(0, std::sqrt(s2));
  const auto lambda = [&](size_t t, VarianceType type) {
    const Denoiser right = denoiser_of(gaussian(0, s2), ho(), PredictionType::epsilon);
    const Denoiser wrong = [&](const Tensor& x, const Tensor& time) { return right(x, time) + d; };
    const auto term = [&](const Denoiser& network) {
      return mean(vlb_term(network, ho(), q.x0, static_cast<int64_t>(t) - 1, q.noise, {.variance = type})).item();
    };
    return (term(wrong) - term(right)) / (d * d);
  };
  const auto formula = [&](size_t t, double g2) {
    return std::pow(lecture().beta[t], 2) / (2 * g2 * lecture().alpha[t] * (1 - lecture().A[t]));
  };
  const std::vector<std::pair<size_t, double>> small{
      {2, .59967}, {10, .08644}, {100, .010267}, {500, .0055082}, {1000, .0102045}};
  const std::vector<double> unit{5e-6, 5e-6, 5e-7, 5e-8, 5e-8};  // half of the last digit given
  for (size_t i = 0; i < small.size(); ++i) {
    const auto [t, wanted] = small[i];
    CHECK(lambda(t, VarianceType::fixed_small) == Approx(wanted).epsilon(0).margin(unit[i]));
    CHECK(lambda(t, VarianceType::fixed_small) == Approx(formula(t, lecture().posterior_variance(t))).epsilon(1e-8));
  }
  CHECK(lambda(2, VarianceType::fixed_large) == Approx(.27269).epsilon(0).margin(5e-6));
}

TEST_CASE("oracle 09 constants of Ho's and the cosine schedule", "[oracle]") {
  const auto A = [](int64_t t) { return ho().alpha_cumprod(t - 1); };
  const std::vector<std::pair<int64_t, double>> known{
      {1, .9999}, {2, .9997800921}, {100, .8970181457}, {250, .5240853738}, {500, .0785872429}};
  for (const auto& [t, wanted] : known) {
    CHECK(A(t) == Approx(wanted).epsilon(0).margin(5e-11));
    CHECK(A(t) == Approx(lecture().A[static_cast<size_t>(t)]).epsilon(1e-12));
  }
  CHECK(A(1000) == Approx(4.0358297654e-5).epsilon(0).margin(5e-16));
  CHECK(ho().posterior_variance(1) == Approx(5.4531876613e-5).epsilon(0).margin(5e-16));
  const NoiseSchedule cosine = cosine_schedule(1000);
  const auto bar = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * std::numbers::pi / 2), 2); };
  CHECK(cosine.beta(0) == Approx(1 - bar(0.001) / bar(0)).epsilon(1e-10));
  CHECK(cosine.beta(0) == Approx(4.1284e-5).epsilon(0).margin(5e-10));
  CHECK(cosine.alpha_cumprod(999) == Approx(2.4288e-9).epsilon(0).margin(5e-14));
}

TEST_CASE("oracle 10 the variance of what the ancestral sampler draws", "[oracle]") {
  // Linear in x_T and the noises: row 0 follows x_T = 1, row 1 + i a noise of 1 in step i; squares add up.
  const double s2 = 0.25;
  const int64_t rows = 1001;
  Tensor x_T = zeros({rows, 1}, DType::f64);
  x_T.mutable_data<double>()[0] = 1;
  const auto impulse = [&](int64_t step, const Shape& shape) {
    Tensor noise = zeros(shape, DType::f64);
    noise.mutable_data<double>()[1 + step] = 1;
    return noise;
  };
  const auto spread = [&](const Denoiser& network, VarianceType type) {
    return sum(square(
                   ancestral_sample(network, ho(), x_T, {.prediction = kSample, .variance = type, .noise = impulse})))
        .item();
  };
  const auto recursion = [&](const std::function<double(size_t)>& g2) {
    double V = 1;
    for (size_t t = 1000; t >= 1; --t) {
      V = lecture().alpha[t] * std::pow(lecture().v(t - 1, s2) / lecture().v(t, s2), 2) * V + (t > 1 ? g2(t) : 0);
    }
    return V;
  };
  const Denoiser plain = denoiser_of(gaussian(0, s2), ho(), PredictionType::sample);
  const double small = spread(plain, VarianceType::fixed_small), large = spread(plain, VarianceType::fixed_large);
  const double optimal = spread(with_optimal_variance(0, s2), VarianceType::learned);
  CHECK(small == Approx(recursion([&](size_t t) { return lecture().posterior_variance(t); })).epsilon(1e-9));
  CHECK(large == Approx(recursion([&](size_t t) { return lecture().beta[t]; })).epsilon(1e-9));
  CHECK(optimal == Approx(recursion([&](size_t t) { return lecture().tau(t, s2); })).epsilon(1e-9));
  CHECK(small == Approx(.2461252).epsilon(0).margin(5e-8));
  CHECK(large == Approx(.2507520).epsilon(0).margin(1e-7));  // .25075207
  CHECK(optimal == Approx(.2499000).epsilon(0).margin(5e-8));
}

TEST_CASE("oracle 15 the path: noises combine, and times correlate", "[oracle]") {
  // Unit impulses: row k has noise 1 in step k + 1 alone, the last row x_0 = 1.
  const int64_t steps = 30;
  const NoiseSchedule steep = linear_schedule(steps, 0.01, 0.4);
  std::vector<double> A{1};
  for (int64_t t = 0; t < steps; ++t) A.push_back(A.back() * (1 - steep.beta(t)));
  Tensor x0 = zeros({steps + 1, 1}, DType::f64);
  x0.mutable_data<double>()[steps] = 1;
  std::vector<Tensor> path{x0}, noises;
  for (int64_t t = 0; t < steps; ++t) {
    Tensor noise = zeros(x0.shape(), DType::f64);
    noise.mutable_data<double>()[t] = 1;
    noises.push_back(noise);
    const Tensor index = full({steps + 1}, static_cast<double>(t), DType::i64);
    path.push_back(q_step(steep, path.back(), index, noise));
    const Tensor direct = q_sample(steep, x0, index, equivalent_noise(steep, noises));
    check_close(path.back(), direct.to_vector(), 1e-12);
    std::vector<double> combined;
    for (int64_t s = 0; s < steps; ++s) {
      const auto end = static_cast<size_t>(t) + 1, start = static_cast<size_t>(s) + 1;
      const double total = A[end] / A[start] * steep.beta(s) / (1 - A[end]);
      combined.push_back(s <= t ? std::sqrt(total) : 0);
    }
    combined.push_back(0);
    check_close(equivalent_noise(steep, noises), combined, 1e-12);
  }
  // Rows are independent unit sources (x_0 with variance 1, so every Var is 1): covariances are inner products.
  for (const auto& [s, t] : {std::pair<size_t, size_t>{3, 11}, std::pair<size_t, size_t>{10, 30}}) {
    CHECK(sum(path[s] * path[t]).item() == Approx(std::sqrt(A[t] / A[s])).epsilon(1e-12));
  }
}
