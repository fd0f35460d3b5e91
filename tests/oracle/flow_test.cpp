// Facts 11 to 14 and 16 to 19: flows, mixtures, likelihoods and guidance.
#include <cstdio>

#include "autograd/ops/ops.h"
#include "diffusion/guidance/guidance.h"
#include "diffusion/likelihood/ode_likelihood.h"
#include "diffusion/oracle/oracle.h"
#include "diffusion/process/edm.h"
#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/samplers/dpm_solver.h"
#include "diffusion/samplers/ode.h"
#include "diffusion/samplers/runge_kutta.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"
#include "tests/oracle/support.h"

using namespace sfumato;
using namespace sfumato::oracle_tests;

namespace {

const PredictionOptions kSample{.type = PredictionType::sample};

Oracle gaussian(double m, double s2) { return gaussian_oracle(full({1}, m, DType::f64), s2); }

// Two dimensions, two components with full covariances.
struct Mixture {
  std::vector<double> weights{0.3, 0.7};
  double means[2][2] = {{-1, 0.5}, {1.5, -0.5}};
  double covariances[2][4] = {{0.5, 0.2, 0.2, 0.3}, {0.4, -0.25, -0.25, 0.6}};
  Oracle oracle() const {
    return mixture_oracle(weights, tensor_of({means[0][0], means[0][1], means[1][0], means[1][1]}, {2, 2}, DType::f64),
                          tensor_of({0.5, 0.2, 0.2, 0.3, 0.4, -0.25, -0.25, 0.6}, {2, 2, 2}, DType::f64));
  }
};

// The formula for two dimensions, with an inverse by hand.
struct Expected {
  double density = 0, mean[2] = {0, 0}, covariance[4] = {0, 0, 0, 0};
  Expected(const Mixture& data, const double* x, double a, double b) {
    double gamma[2], m[2][2], within[2][4];
    for (int k = 0; k < 2; ++k) {
      const double* S = data.covariances[k];
      const double c00 = a * a * S[0] + b * b, c01 = a * a * S[1], c11 = a * a * S[3] + b * b,
                   det = c00 * c11 - c01 * c01;
      const double i00 = c11 / det, i01 = -c01 / det, i11 = c00 / det;
      const double r0 = x[0] - a * data.means[k][0], r1 = x[1] - a * data.means[k][1];
      const double y0 = i00 * r0 + i01 * r1, y1 = i01 * r0 + i11 * r1;
      gamma[k] = data.weights[static_cast<size_t>(k)] * std::exp(-0.5 * (r0 * y0 + r1 * y1)) /
                 (2 * std::numbers::pi * std::sqrt(det));
      m[k][0] = data.means[k][0] + a * (S[0] * y0 + S[1] * y1);
      m[k][1] = data.means[k][1] + a * (S[2] * y0 + S[3] * y1);
      const double p00 = S[0] * i00 + S[1] * i01, p01 = S[0] * i01 + S[1] * i11;  // S C^-1
      const double p10 = S[2] * i00 + S[3] * i01, p11 = S[2] * i01 + S[3] * i11;
      within[k][0] = S[0] - a * a * (p00 * S[0] + p01 * S[2]);
      within[k][1] = S[1] - a * a * (p00 * S[1] + p01 * S[3]);
      within[k][2] = S[2] - a * a * (p10 * S[0] + p11 * S[2]);
      within[k][3] = S[3] - a * a * (p10 * S[1] + p11 * S[3]);
      density += gamma[k];
    }
    for (int k = 0; k < 2; ++k) {
      for (int i = 0; i < 2; ++i) mean[i] += gamma[k] / density * m[k][i];
    }
    for (int k = 0; k < 2; ++k) {
      for (int i = 0; i < 4; ++i) covariance[i] += gamma[k] / density * (within[k][i] + m[k][i / 2] * m[k][i % 2]);
    }
    for (int i = 0; i < 4; ++i) covariance[i] -= mean[i / 2] * mean[i % 2];
  }
};

}  // namespace

TEST_CASE("oracle 11 the flow of a Gaussian, and DDIM's steps as a closed product", "[oracle]") {
  const double m = 0.7;
  const Tensor x = row({-1.5, 0.1, 2.0});
  for (const double s2 : {0.0, 0.25}) {
    const SigmaDenoiser data = sigma_denoiser(gaussian(m, s2));
    const std::vector<double> sigmas{20, 7, 3, 1, 0.3, 0.05};
    double product = 1;
    for (size_t i = 0; i + 1 < sigmas.size(); ++i) {
      product *= (s2 + sigmas[i] * sigmas[i + 1]) / (s2 + sigmas[i] * sigmas[i]);
    }
    check_close(euler_sample(data, x, sigmas), affine(x, product, m - product * m).to_vector(), 1e-12);
    // The same in variance-preserving coordinates, on Ho et al.'s schedule.
    double scale = 1 / std::sqrt(lecture().A[1000]);
    const TimestepOptions grid{.steps = 13, .spacing = TimestepSpacing::linspace};
    for (const auto [t, previous] : sampling_grid(1000, grid, PreviousStep::next_grid_point)) {
      const double a = lecture().A[static_cast<size_t>(t + 1)], b = lecture().A[static_cast<size_t>(previous + 1)];
      const double sigma = std::sqrt((1 - a) / a), next = std::sqrt((1 - b) / b);
      scale *= (s2 + sigma * next) / (s2 + sigma * sigma);
    }
    const double center = m - scale * std::sqrt(lecture().A[1000]) * m;
    check_close(ddim_sample(denoiser_of(gaussian(m, s2), ho(), PredictionType::sample), ho(), x,
                            {.timesteps = grid, .prediction = kSample, .previous = PreviousStep::next_grid_point}),
                affine(x, scale, center).to_vector(), 1e-10);
    // Exact in one step for a point.
    if (s2 == 0) check_close(euler_sample(data, x, std::vector{20.0, 0.0}), {m, m, m}, 1e-12);
    // The flow itself: x - m ~ sqrt(s² + sigma²); its inverse by DDIM's steps upwards is a product, too.
    if (s2 > 0) {
      const double ratio = std::sqrt((s2 + 0.01) / (s2 + 400));
      const Tensor end = probability_flow_sample(
          data, x, {.sigma_max = 20, .sigma_min = 0.1, .ode = {.rtol = 1e-11, .atol = 1e-11}, .to_zero = false});
      check_close(end, affine(x, ratio, m - ratio * m).to_vector(), 1e-9);
    }
  }
}

TEST_CASE("oracle 11 DDIM inversion is the product upwards", "[oracle]") {
  const double m = 0.7, s2 = 0.25;
  const Tensor x = row({-1.5, 0.1, 2.0});
  const Denoiser network = denoiser_of(gaussian(m, s2), ho(), PredictionType::epsilon);
  double before = 0;
  for (const int64_t steps : {10, 20, 50, 1000}) {
    auto grid = sampling_timesteps(1000, {.steps = steps, .spacing = TimestepSpacing::trailing});
    double scale = 1, sigma = 0;
    for (size_t i = grid.size(); i-- > 0;) {
      const double a = lecture().A[static_cast<size_t>(grid[i] + 1)], next = std::sqrt((1 - a) / a);
      // eps at sigma; from the clean image, eps of the lowest level, where x is read as x_t.
      if (sigma == 0) {
        const double v = a * s2 + 1 - a;
        const double slope = std::sqrt(1 - a) / v;  // eps = slope (x - sqrt(a) m)
        scale = 1 + next * slope;
      } else {
        scale *= (s2 + sigma * next) / (s2 + sigma * sigma);
      }
      sigma = next;
    }
    const Tensor x_T =
        ddim_invert(network, ho(), x, {.timesteps = {.steps = steps, .spacing = TimestepSpacing::trailing}});
    // Differences of rows do not see m.
    const auto rows = x_T.to_vector();
    CHECK((rows[2] - rows[0]) / 3.5 == Approx(scale * std::sqrt(lecture().A[1000])).epsilon(1e-9));
    const Tensor back = ddim_sample(network, ho(), x_T,
                                    {.timesteps = {.steps = steps, .spacing = TimestepSpacing::trailing},
                                     .previous = PreviousStep::next_grid_point});
    const double error = std::sqrt(mean(square(back - x)).item());
    if (before > 0) CHECK(error < before);
    before = error;
  }
  CHECK(before < 0.01);
}

TEST_CASE("oracle 12 DDIM with eta 1 is ancestral; first-order DPM-Solver is DDIM", "[oracle]") {
  const Denoiser network =
      denoiser_of(mixture_oracle(GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3")), ho(), PredictionType::epsilon);
  const Tensor x_T = row({-1.2, 0.3, 0.9, 2.0});
  const NoiseSource noise = step_noise(3, 0, DType::f64);
  for (const int64_t steps : {7, 40}) {
    const TimestepOptions grid{.steps = steps};
    const Tensor ancestral = ancestral_sample(network, ho(), x_T, {.timesteps = grid, .noise = noise});
    check_close(ddim_sample(network, ho(), x_T,
                            {.timesteps = grid, .eta = 1, .previous = PreviousStep::next_grid_point, .noise = noise}),
                ancestral.to_vector(), 1e-9);
    std::vector<int64_t> ascending = sampling_timesteps(1000, grid);
    std::reverse(ascending.begin(), ascending.end());
    const NoiseSchedule few = ho().respaced(ascending);
    for (size_t i = 1; i < ascending.size(); ++i) {
      const double now = lecture().A[static_cast<size_t>(ascending[i] + 1)];
      CHECK(few.beta(static_cast<int64_t>(i)) ==
            Approx(1 - now / lecture().A[static_cast<size_t>(ascending[i - 1] + 1)]).epsilon(1e-10));
    }
    const SigmaTable table(ho());
    const auto sigmas = sigma_grid(table, {.steps = steps, .spacing = SigmaSpacing::leading});
    const Tensor start = x_T * scale_of(sigmas[0]);
    const Tensor ddim = ddim_sample(network, ho(), x_T, {.timesteps = grid, .previous = PreviousStep::next_grid_point});
    const SigmaDenoiser denoiser = sigma_denoiser(network, table, {});
    check_close(dpm_solver_sample(denoiser, start, sigmas, {.method = DpmMethod::first}), ddim.to_vector(), 1e-9);
    check_close(euler_sample(denoiser, start, sigmas), ddim.to_vector(), 1e-9);
  }
}

TEST_CASE("oracle 14 the denoiser, density, score and Jacobian of a mixture", "[oracle]") {
  const Mixture data;
  const Oracle oracle = data.oracle();
  const std::vector<double> points{0.3, -0.2, -2.0, 1.0, 4.0, 3.0};
  const Tensor x = tensor_of(points, {3, 2}, DType::f64);
  for (const NoiseLevel level :
       {NoiseLevel{0.9, std::sqrt(0.19)}, NoiseLevel{0.3, std::sqrt(0.91)}, NoiseLevel{1, 2.5}}) {
    const double a = level.signal, b = level.noise;
    const auto mean = oracle.posterior_mean(x, level).to_vector(), density = oracle.log_density(x, level).to_vector();
    const auto trace = oracle.posterior_variance(x, level).to_vector(), score = oracle.score(x, level).to_vector();
    for (size_t n = 0; n < 3; ++n) {
      const Expected wanted(data, &points[2 * n], a, b);
      CHECK(density[n] == Approx(std::log(wanted.density)).epsilon(1e-11));
      CHECK(trace[n] == Approx(wanted.covariance[0] + wanted.covariance[3]).epsilon(1e-10));
      for (size_t i = 0; i < 2; ++i) {
        CHECK(mean[2 * n + i] == Approx(wanted.mean[i]).epsilon(1e-11).margin(1e-12));
        // The score is the gradient of the log density.
        double shifted[2] = {points[2 * n], points[2 * n + 1]};
        const double h = 1e-5;
        shifted[i] += h;
        const double up = std::log(Expected(data, shifted, a, b).density);
        shifted[i] -= 2 * h;
        const double down = std::log(Expected(data, shifted, a, b).density);
        CHECK(score[2 * n + i] == Approx((up - down) / (2 * h)).epsilon(1e-7).margin(1e-8));
        // Columns of the Jacobian, and of the covariance it is made of: symmetric, positive.
        Tensor v = zeros({3, 2}, DType::f64);
        select(v, 1, static_cast<int64_t>(i)).fill(1);
        const auto column = oracle.posterior_covariance_times(x, v, level).to_vector();
        for (size_t j = 0; j < 2; ++j) {
          CHECK(column[2 * n + j] == Approx(wanted.covariance[2 * j + i]).epsilon(1e-9).margin(1e-11));
        }
        shifted[i] += 2 * h;
        const Expected ahead(data, shifted, a, b);
        shifted[i] -= 2 * h;
        const Expected behind(data, shifted, a, b);
        for (size_t j = 0; j < 2; ++j) {
          const double slope = (ahead.mean[j] - behind.mean[j]) / (2 * h);
          CHECK(a / (b * b) * column[2 * n + j] == Approx(slope).epsilon(1e-6).margin(1e-7));
        }
        CHECK(column[2 * n + i] > 0);
      }
      CHECK(wanted.covariance[1] == Approx(wanted.covariance[2]).epsilon(1e-10).margin(1e-13));
    }
  }
}

TEST_CASE("oracle 14 the denoiser of a data set is a softmax over its images", "[oracle]") {
  const Tensor images = randn({5, 1, 2, 3}, "images", DType::f64), x = randn({4, 1, 2, 3}, "x", DType::f64);
  const Oracle data = dataset_oracle(images);
  const int64_t t = 300;
  const double a = ho().alpha_cumprod(t);
  std::vector<double> wanted;
  for (int64_t n = 0; n < 4; ++n) {
    std::vector<double> weight, sum(6, 0.0);
    double total = 0;
    for (int64_t i = 0; i < 5; ++i) {
      const double distance = sfumato::sum(square(select(x, 0, n) - select(images, 0, i) * std::sqrt(a))).item();
      weight.push_back(std::exp(-distance / (2 * (1 - a))));
      total += weight.back();
    }
    for (int64_t i = 0; i < 5; ++i) {
      const auto image = select(images, 0, i).to_vector();
      for (size_t k = 0; k < 6; ++k) sum[k] += weight[static_cast<size_t>(i)] / total * image[k];
    }
    wanted.insert(wanted.end(), sum.begin(), sum.end());
  }
  const Denoiser network = denoiser_of(data, ho(), PredictionType::sample);
  check_close(network(x, full({4}, t, DType::i64)), wanted, 1e-12);
  // Without noise a sampler must end in one of the images.
  const Tensor end = ddim_sample(network, ho(), x, {.timesteps = {.steps = 100}, .prediction = kSample});
  for (int64_t n = 0; n < 4; ++n) {
    double nearest = 1e9;
    for (int64_t i = 0; i < 5; ++i)
      nearest = std::min(nearest, sfumato::sum(square(select(end, 0, n) - select(images, 0, i))).item());
    CHECK(nearest < 1e-6);
  }
  // Rows may be at different times, and do not depend on one another.
  const Tensor times = tensor_of({0, 300, 999, 300}, {4}, DType::i64);
  const Tensor mixed = network(x, times);
  check_close(select(mixed, 0, 1), select(network(x, full({4}, 300, DType::i64)), 0, 1).to_vector(), 0);
}

TEST_CASE("oracle 16 EDM's preconditioning leaves nothing to learn on a Gaussian, at loss 1", "[oracle]") {
  const double sigma_data = 0.5;
  const SigmaDenoiser data = sigma_denoiser(gaussian(0, sigma_data * sigma_data));
  const Quadrature q = quadrature(0, sigma_data);
  for (const double sigma : {0.002, 0.1, 0.5, 3.0, 80.0}) {
    check_close(edm_network_output(data, q.x0 + q.noise * sigma, sigma, sigma_data) + 1.0, {1, 1, 1, 1}, 1e-10);
    CHECK(mean(edm_loss(data, q.x0, q.noise, sigma, sigma_data)).item() == Approx(1).epsilon(1e-10));
    const EdmScaling c = edm_scaling(sigma, sigma_data);
    CHECK(c.weight * c.out * c.out == Approx(1).epsilon(1e-12));
    CHECK(c.in * c.in * (sigma * sigma + sigma_data * sigma_data) == Approx(1).epsilon(1e-12));
    CHECK(c.noise == Approx(std::log(sigma) / 4));
    // A network that outputs nothing is that denoiser.
    const SigmaDenoiser silent =
        edm_denoiser([](const Tensor& x, const Tensor&) { return zeros(x.shape(), x.dtype()); });
    check_close(silent(row({0.4, -2}), sigma), data(row({0.4, -2}), sigma).to_vector(), 1e-12);
  }
}

TEST_CASE("oracle 17 Hutchinson's variance is that of the off-diagonal entries", "[oracle]") {
  // All 16 sign vectors of a linear denoiser x -> J x: mean and variance without sampling.
  const double J[4][4] = {{2, 0.5, -1, 0}, {0.5, 1, 0.25, 0.75}, {-1, 0.25, -3, 0.1}, {0, 0.75, 0.1, 0.5}};
  for (const bool diagonal : {false, true}) {
    std::vector<double> entries;
    double off_diagonal = 0, trace = 0;
    for (int i = 0; i < 4; ++i) {
      for (int j = 0; j < 4; ++j) {
        const double entry = i == j || !diagonal ? J[i][j] : 0;
        entries.push_back(entry);
        if (i != j) off_diagonal += entry * entry;
        if (i == j) trace += entry;
      }
    }
    const Tensor matrix = tensor_of(entries, {4, 4}, DType::f64);
    const DifferentiableDenoiser linear =
        differentiable([&](const Variable& x, double) { return matmul(x, Variable(matrix)); });
    std::vector<double> signs;
    for (int word = 0; word < 16; ++word) {
      for (int bit = 0; bit < 4; ++bit) signs.push_back((word >> bit & 1) != 0 ? 1 : -1);
    }
    const Tensor probes = tensor_of(signs, {16, 4}, DType::f64);
    const Tensor x = randn({16, 4}, "x", DType::f64);
    const Tensor guess = hutchinson_trace(linear, x, 1, probes);
    CHECK(mean(guess).item() == Approx(trace).epsilon(1e-12));
    CHECK(mean(square(guess - trace)).item() == Approx(2 * off_diagonal).epsilon(1e-12).margin(1e-20));
    check_close(exact_trace(linear, x, 1), std::vector(16, trace), 1e-12);
  }
  const Tensor drawn = draw_probe(ProbeKind::rademacher, zeros({1000, 4}, DType::f64));
  CHECK(sum(square(drawn)).item() == 4000);
  CHECK(std::abs(sum(drawn).item()) < 4 * std::sqrt(4000.0));
}

TEST_CASE("oracle 18 the ODE likelihood of a Gaussian", "[oracle]") {
  const double m = 0.7, s2 = 0.25, sigma_min = 0.05, sigma_max = 10;
  const Oracle data = gaussian(m, s2);
  const Tensor x = row({-0.4, 0.6, 1.9});
  OdeLikelihoodOptions options{.sigma_min = sigma_min, .sigma_max = sigma_max, .ode = {.rtol = 1e-10, .atol = 1e-10}};
  options.prior_log_density = [&](const Tensor& end) { return data.log_density(end, {1, sigma_max}); };
  std::vector<double> wanted;
  for (const double value : x.to_vector()) wanted.push_back(normal_log_density(value, m, s2 + sigma_min * sigma_min));
  check_close(ode_log_likelihood(differentiable(data), x, options), wanted, 1e-8);
  // The Jacobian of a Gaussian's denoiser is diagonal: one probe of signs is exact.
  options.probes = 1;
  check_close(ode_log_likelihood(differentiable(data), x, options), wanted, 1e-8);
}

TEST_CASE("oracle 18 the ODE likelihood of a mixture in the plane", "[oracle]") {
  const Oracle data = Mixture().oracle();
  const Tensor x = tensor_of({0.3, -0.2, -1.0, 1.0, 2.0, 0.1}, {3, 2}, DType::f64);
  OdeLikelihoodOptions options{.sigma_min = 0.05, .sigma_max = 20, .ode = {.rtol = 1e-9, .atol = 1e-9}};
  options.prior_log_density = [&](const Tensor& end) { return data.log_density(end, {1, 20}); };
  const auto wanted = data.log_density(x, {1, 0.05}).to_vector();
  check_close(ode_log_likelihood(differentiable(data), x, options), wanted, 1e-7);
  // Many probes: right on average.
  options.probes = 64;
  options.ode = {.rtol = 1e-4, .atol = 1e-4};
  const auto guess = ode_log_likelihood(differentiable(data), x, options).to_vector();
  for (size_t i = 0; i < 3; ++i) CHECK(guess[i] == Approx(wanted[i]).margin(0.25));
  // With the usual prior the answer nears the truth as sigma_max grows.
  options.probes = 0;
  options.sigma_max = 200;
  options.prior_log_density = {};
  const auto usual = ode_log_likelihood(differentiable(data), x, options).to_vector();
  for (size_t i = 0; i < 3; ++i) CHECK(usual[i] == Approx(wanted[i]).margin(0.02));
}

TEST_CASE("oracle 19 guidance on Gaussians is linear, and does not sample p(x) p(y|x)^w", "[oracle]") {
  // p(x) = N(0, 1), p(x|y) = N(m, c): the guided score is a line, -slope x + shift, whose flow is closed.
  const double m = 1.2, c = 0.2, weight = 3;
  const auto guide = [&](double scale) {
    const Denoiser with = denoiser_of(gaussian(m, c), ho(), PredictionType::v_prediction);
    const Denoiser without = denoiser_of(gaussian(0, 1), ho(), PredictionType::v_prediction);
    return sigma_denoiser(guided(with, without, scale), SigmaTable(ho()), {.type = PredictionType::v_prediction});
  };
  const SigmaDenoiser strong = guide(weight);
  // D(x; sigma) = (1-w) x/(1+sigma²) + w (m + c (x-m)/(c+sigma²)).
  for (const double sigma : {0.1, 1.0, 8.0}) {
    const double s2 = sigma * sigma, x = 0.4;
    const double wanted = (1 - weight) * x / (1 + s2) + weight * (m + c * (x - m) / (c + s2));
    CHECK(strong(row({x}), sigma).item() == Approx(wanted).epsilon(1e-7));  // a network is told the time in f32
  }
  // d x / d(s²) = (x - D) / (2 s²) = w (x - m) / (2 (c + s²)) + (1 - w) x / (2 (1 + s²)): differences of two paths go
  // like (c + s²)^(w/2) (1 + s²)^((1-w)/2).
  const double high = 20, low = 0.02;
  const auto growth = [&](double sigma) {
    return std::pow(c + sigma * sigma, weight / 2) * std::pow(1 + sigma * sigma, (1 - weight) / 2);
  };
  const Tensor end = probability_flow_sample(
      strong, row({-high, high}),
      {.sigma_max = high, .sigma_min = low, .ode = {.rtol = 1e-10, .atol = 1e-10}, .to_zero = false});
  const auto ends = end.to_vector();
  const double spread = (ends[1] - ends[0]) / 2;  // of a start of high, that is of one standard deviation
  CHECK(spread == Approx(high * growth(low) / growth(high)).epsilon(1e-7));
  // The density p(x)^(1-w) p(x|y)^w has precision (1 - w) + w/c.
  const double tilted = 1 / std::sqrt((1 - weight) + weight / c);
  std::printf("  guidance 3: the flow's deviation is %.4f, that of p(x) p(y|x)^3 is %.4f\n", spread, tilted);
  CHECK(std::abs(spread - tilted) > 0.1 * tilted);
  // Weight 1 is the conditional, whose flow does sample it.
  const SigmaDenoiser plain = guide(1);
  const auto fair = probability_flow_sample(
                        plain, row({m - std::sqrt(c + 400), m + std::sqrt(c + 400)}),
                        {.sigma_max = 20, .sigma_min = low, .ode = {.rtol = 1e-10, .atol = 1e-10}, .to_zero = false})
                        .to_vector();
  CHECK((fair[1] - fair[0]) / 2 == Approx(std::sqrt(c + low * low)).epsilon(1e-7));
  CHECK((fair[1] + fair[0]) / 2 == Approx(m).epsilon(1e-7));
}
