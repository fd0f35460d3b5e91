#include <algorithm>
#include <cmath>

#include "catch.h"
#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/samplers/dpm_solver.h"
#include "diffusion/samplers/ode.h"
#include "diffusion/samplers/plms.h"
#include "diffusion/samplers/runge_kutta.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"

using namespace sfumato;

namespace {

Tensor wavy(const Tensor& x, double sigma) { return x * (0.5 / (1 + sigma)) + sin(x) * 0.1; }

}  // namespace

TEST_CASE("sigmas: Karras' levels follow their formula", "[diffusion]") {
  const auto sigmas = karras_sigmas(5, 0.002, 80);
  REQUIRE(sigmas.size() == 6);
  CHECK(sigmas[0] == 80);
  CHECK(sigmas[4] == Approx(0.002).epsilon(1e-12));
  CHECK(sigmas[5] == 0);
  const double high = std::pow(80, 1.0 / 7), low = std::pow(0.002, 1.0 / 7);
  CHECK(sigmas[2] == Approx(std::pow((high + low) / 2, 7)).epsilon(1e-12));
  CHECK(geometric_sigmas(3, 0.01, 1)[1] == Approx(0.1).epsilon(1e-12));
  CHECK_THROWS_AS(karras_sigmas(0, 0.1, 1), Error);
  CHECK_THROWS_AS(karras_sigmas(3, 2, 1), Error);
}

TEST_CASE("sigmas: a table's time is the inverse of its sigma", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  for (const auto way : {SigmaInterpolation::linear, SigmaInterpolation::log_linear}) {
    const SigmaTable table(ho, way);
    for (const double t : {0.0, 0.3, 17.0, 523.75, 998.5, 999.0})
      CHECK(table.time(table.sigma(t)) == Approx(t).margin(1e-9));
    CHECK(table.sigma(400) == Approx(ho.level(400).noise / ho.level(400).signal).epsilon(1e-12));
    CHECK(table.time(1e6) == 999);
    CHECK(table.time(1e-6) == 0);
    const double between = table.sigma(100.5), below = table.sigma(100), above = table.sigma(101);
    CHECK(between == Approx(way == SigmaInterpolation::linear ? (below + above) / 2 : std::sqrt(below * above)));
  }
  CHECK_THROWS_AS(SigmaTable(ho).sigma(999.5), Error);
  CHECK_THROWS_AS(SigmaTable(ho).time(0), Error);
  // Without signal sigma would be infinite.
  CHECK(SigmaTable(zero_terminal_snr(ho)).sigma(999) == Approx(4096).epsilon(1e-6));
  // What stands for infinity there lies below the level before it, and has its own time all the same.
  const SigmaTable zero_snr(zero_terminal_snr(ho));
  CHECK(zero_snr.sigma(998) > zero_snr.sigma(999));
  for (const double t : {999.0, 998.0, 997.5, 500.0, 0.0}) CHECK(zero_snr.time(zero_snr.sigma(t)) == Approx(t));
}

TEST_CASE("sigmas: spacings visit their timesteps", "[diffusion]") {
  const SigmaTable table(linear_schedule(1000));
  const auto times = [&](const SigmaGridOptions& options) {
    std::vector<double> out;
    for (const double sigma : sigma_grid(table, options)) {
      if (sigma > 0) out.push_back(std::round(table.time(sigma) * 1e6) / 1e6);
    }
    return out;
  };
  using enum SigmaSpacing;
  CHECK(times({.steps = 3, .spacing = leading}) == std::vector<double>{666, 333, 0});
  CHECK(times({.steps = 3, .spacing = leading, .steps_offset = 1}) == std::vector<double>{667, 334, 1});
  CHECK(times({.steps = 3, .spacing = trailing}) == std::vector<double>{999, 666, 332});
  CHECK(times({.steps = 3, .spacing = linspace}) == std::vector<double>{999, 500, 0});
  CHECK(times({.steps = 3, .spacing = linspace, .whole_timesteps = false}) == std::vector<double>{999, 499.5, 0});
  CHECK(times({.steps = 2, .spacing = linspace, .leave_out_lowest = true}) == std::vector<double>{999, 500});
  CHECK(times({.steps = 2, .spacing = leading, .leave_out_lowest = true}) == std::vector<double>{666, 333});
  const auto karras_grid = sigma_grid(table, {.steps = 4, .spacing = karras});
  CHECK(karras_grid == karras_sigmas(4, table.sigma(0), table.sigma(999)));
  CHECK(times({}).size() == 1000);
  for (const auto spacing : {leading, trailing, linspace, karras})
    CHECK(parse_sigma_spacing(name_of(spacing)) == spacing);
  CHECK_THROWS_AS(parse_sigma_spacing("even"), Error);
  CHECK_THROWS_AS(sigma_grid(table, {.steps = 1001}), Error);
}

TEST_CASE("solvers: a network is shown the variance-preserving image at its time", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const SigmaTable table(ho);
  const Tensor x = initial_noise({2, 3}, 1, 0, DType::f64);
  for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
    const double sigma = table.sigma(321);
    Tensor seen;
    double time = 0;
    const Denoiser network = [&](const Tensor& x_t, const Tensor& t) {
      seen = x_t;
      time = t.to_vector()[0];
      return x_t * 0.5;
    };
    const Tensor x0 = sigma_denoiser(network, table, {.type = type})(x, sigma);
    CHECK(allclose(seen, x * ho.level(321).signal, 1e-12, 1e-12));
    CHECK(time == Approx(321));
    CHECK(allclose(x0, to_x0(type, seen * 0.5, seen, ho.level(321)), 1e-9, 1e-9));
  }
}

TEST_CASE("solvers: the callback sees every step, and a last level of 0 ends in the prediction", "[diffusion]") {
  const auto sigmas = karras_sigmas(6, 0.1, 10);
  const Tensor x = initial_noise({2, 3}, 1, 0, DType::f64) * 10.0;
  std::vector<SolverStep> seen;
  const SolverCallback watch = [&](const SolverStep& step) { seen.push_back(step); };
  const auto check_run = [&](const Tensor& end) {
    REQUIRE(seen.size() == 6);
    for (size_t i = 0; i < 6; ++i) {
      CHECK(seen[i].index == static_cast<int64_t>(i));
      CHECK(seen[i].steps == 6);
      CHECK(seen[i].sigma == sigmas[i]);
      CHECK(seen[i].sigma_next == sigmas[i + 1]);
      CHECK(allclose(seen[i].x, i == 0 ? x : seen[i - 1].x_next, 0, 0));
      CHECK(allclose(seen[i].x0, wavy(seen[i].x, seen[i].sigma), 0, i > 0 ? 0.05 : 0));  // UniPC's is the predictor's
    }
    CHECK(allclose(end, seen[5].x0, 0, 0));
    seen.clear();
  };
  check_run(euler_sample(wavy, x, sigmas, {.on_step = watch}));
  check_run(heun_sample(wavy, x, sigmas, {.on_step = watch}));
  check_run(rk4_sample(wavy, x, sigmas, {.on_step = watch}));
  check_run(plms_sample(wavy, x, sigmas, {.on_step = watch}));
  check_run(unipc_sample(wavy, x, sigmas, {.on_step = watch}));
  for (const auto method :
       {DpmMethod::first, DpmMethod::singlestep_2, DpmMethod::multistep_2, DpmMethod::multistep_3}) {
    check_run(dpm_solver_sample(wavy, x, sigmas, {.method = method, .on_step = watch}));
  }
}

TEST_CASE("solvers: evaluations per step", "[diffusion]") {
  const auto sigmas = karras_sigmas(10, 0.1, 10);
  const Tensor x = initial_noise({1, 3}, 1, 0, DType::f64);
  int calls = 0;
  const SigmaDenoiser counted = [&](const Tensor& at, double sigma) { return ++calls, wavy(at, sigma); };
  const auto count = [&](const std::function<void()>& run) {
    calls = 0;
    run();
    return calls;
  };
  CHECK(count([&] { euler_sample(counted, x, sigmas); }) == 10);
  CHECK(count([&] { heun_sample(counted, x, sigmas); }) == 19);
  CHECK(count([&] { rk4_sample(counted, x, sigmas); }) == 37);
  CHECK(count([&] { plms_sample(counted, x, sigmas); }) == 11);
  CHECK(count([&] { unipc_sample(counted, x, sigmas); }) == 10);
  CHECK(count([&] { dpm_solver_sample(counted, x, sigmas); }) == 10);
  CHECK(count([&] { dpm_solver_sample(counted, x, sigmas, {.method = DpmMethod::singlestep_2}); }) == 19);
  CHECK(count([&] { dpm_solver_sample(counted, x, sigmas, {.method = DpmMethod::multistep_3}); }) == 11);
}

TEST_CASE("solvers: exponential weights integrate polynomials", "[diffusion]") {
  for (const double h : {0.01, 0.7, 3.0}) {
    const std::vector<double> nodes{0, -0.4 * h, -1.1 * h, h};
    for (size_t count = 1; count <= 4; ++count) {
      const auto weights = exponential_weights(h, std::span(nodes).first(count));
      for (size_t power = 0; power < count; ++power) {
        double found = 0, wanted = 0;
        for (size_t k = 0; k < count; ++k) found += weights[k] * std::pow(nodes[k], static_cast<double>(power));
        constexpr int kPieces = 20000;
        for (int i = 0; i < kPieces; ++i) {
          const double u = h * (i + 0.5) / kPieces;
          wanted += std::exp(u - h) * std::pow(u, static_cast<double>(power)) * h / kPieces;
        }
        CHECK(found == Approx(wanted).epsilon(1e-7));
      }
    }
  }
  CHECK_THROWS_AS(exponential_weights(1, std::vector{0.5, 0.5}), Error);
}

TEST_CASE("solvers: bad levels and denoisers are refused by name", "[diffusion]") {
  const Tensor x = initial_noise({2, 3}, 1);
  CHECK_THROWS_WITH(heun_sample(wavy, x, std::vector{1.0, 2.0}),
                    ContainsSubstring("heun_sample: noise levels must fall, got 2 after 1"));
  CHECK_THROWS_WITH(plms_sample(wavy, x, std::vector{1.0}), ContainsSubstring("at least two noise levels"));
  CHECK_THROWS_WITH(euler_sample(wavy, x, std::vector{1.0, -1.0}), ContainsSubstring("not negative"));
  CHECK_THROWS_WITH(euler_sample(wavy, x, std::vector<double>{}), ContainsSubstring("euler_sample"));
  const SigmaDenoiser shrinks = [](const Tensor& at, double) { return slice(at, 1, 0, 1); };
  CHECK_THROWS_WITH(rk4_sample(shrinks, x, std::vector{1.0, 0.0}),
                    ContainsSubstring("rk4_sample: the denoiser returned (2, 1)"));
  CHECK_THROWS_AS(unipc_sample(wavy, x, std::vector{1.0, 0.5}, {.order = 4}), Error);
  CHECK_THROWS_AS(probability_flow_sample(wavy, x, {.sigma_max = 1, .sigma_min = 2}), Error);
}

TEST_CASE("predicted x0: dynamic thresholding", "[diffusion]") {
  // Image 0 has the 0.75 quantile of |x| at 3 (of 0, 1, 2, 3, 4); image 1 is tame and stays.
  const Tensor x0 = tensor_of({0, -1, 2, -3, 4, 0.1, 0.2, -0.3, 0.4, 0.5}, {2, 5}, DType::f64);
  const Tensor wanted = tensor_of({0, -1.0 / 3, 2.0 / 3, -1, 1, 0.1, 0.2, -0.3, 0.4, 0.5}, {2, 5}, DType::f64);
  const auto thresholded = [&](double ratio, double most) {
    const PredictionOptions options{.type = PredictionType::sample,
                                    .thresholding = true,
                                    .dynamic_thresholding_ratio = ratio,
                                    .sample_max_value = most};
    return predicted_x0(options, x0, x0, {});
  };
  CHECK(allclose(thresholded(0.75, 10), wanted, 1e-12, 1e-12));
  CHECK(allclose(thresholded(0.75, 1), clamp(x0, -1, 1), 1e-12, 1e-12));
  // Between order statistics the quantile is interpolated: 0.8 of five is at place 3.2.
  CHECK(thresholded(0.8, 10).to_vector()[3] == Approx(-3 / 3.2).epsilon(1e-12));
  CHECK_THROWS_AS(thresholded(1.5, 1), Error);
}

TEST_CASE("ancestral_sample: a learned range lies between the fixed variances", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x = initial_noise({2, 3}, 1, 0, DType::f64);
  const auto variance_at = [&](double v, VarianceType type) {
    const Denoiser network = [=](const Tensor& at, const Tensor&) {
      return cat({at * 0.1, full(at.shape(), v, DType::f64)}, 1);
    };
    return reverse_step(network, ho, {500, 499}, x, {}, type).variance.to_vector()[4];
  };
  CHECK(variance_at(1, VarianceType::learned_range) == Approx(ho.beta(500)).epsilon(1e-10));
  CHECK(variance_at(-1, VarianceType::learned_range) == Approx(ho.posterior_variance(500)).epsilon(1e-10));
  CHECK(variance_at(0, VarianceType::learned_range) ==
        Approx(std::sqrt(ho.beta(500) * ho.posterior_variance(500))).epsilon(1e-10));
  CHECK(variance_at(0.3, VarianceType::learned) == 0.3);
  const Denoiser plain = [](const Tensor& at, const Tensor&) { return at; };
  CHECK_THROWS_WITH(ancestral_sample(plain, ho, x, {.variance = VarianceType::learned}),
                    ContainsSubstring("twice the channels"));
}
