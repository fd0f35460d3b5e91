#include "diffusion/process/sde.h"

#include <cmath>

#include "catch.h"
#include "diffusion/samplers/sde_samplers.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

std::vector<LinearSde> all() { return {vp_sde(), sub_vp_sde(), ve_sde(), edm_sde()}; }

}  // namespace

TEST_CASE("sde: levels obey the equations of mean and variance", "[diffusion]") {
  // d ln a / dt = f and d b² / dt = 2 f b² + g².
  for (const LinearSde& sde : all()) {
    CAPTURE(sde.name);
    for (const double t : {0.05, 0.4, 0.93}) {
      const double h = 1e-5;
      const NoiseLevel before = sde.level(t - h), here = sde.level(t), after = sde.level(t + h);
      CHECK((std::log(after.signal) - std::log(before.signal)) / (2 * h) ==
            Approx(sde.drift(t)).epsilon(1e-7).margin(1e-9));
      const double growth = (after.noise * after.noise - before.noise * before.noise) / (2 * h);
      const double g = sde.diffusion(t);
      CHECK(growth == Approx(2 * sde.drift(t) * here.noise * here.noise + g * g).epsilon(1e-6));
    }
    CHECK(sde.level(0).signal == 1);
    CHECK(sde.level(0).noise == 0);
    CHECK(sde.level(1).noise == Approx(sde.prior_stddev).epsilon(1e-4));
  }
}

TEST_CASE("sde: the papers' closed forms", "[diffusion]") {
  // Song et al. 2021, equations 29 and 33: with B = t² (max - min)/2 + t min.
  const double t = 0.3, B = t * t * (20 - 0.1) / 2 + t * 0.1;
  CHECK(vp_sde().level(t).signal == Approx(std::exp(-B / 2)).epsilon(1e-13));
  CHECK(std::pow(vp_sde().level(t).noise, 2) == Approx(1 - std::exp(-B)).epsilon(1e-13));
  CHECK(sub_vp_sde().level(t).noise == Approx(1 - std::exp(-B)).epsilon(1e-13));
  CHECK(sub_vp_sde().level(t).noise < vp_sde().level(t).noise);
  CHECK(ve_sde(0.01, 50).level(t).noise == Approx(0.01 * std::pow(5000, t)).epsilon(1e-2));
  CHECK(edm_sde(80).level(t).noise == 24);
  // A schedule of many small steps is the variance-preserving SDE.
  const int64_t T = 100000;
  std::vector<double> betas;
  for (int64_t i = 1; i <= T; ++i) betas.push_back((0.1 + static_cast<double>(i) / T * 19.9) / T);
  const NoiseSchedule fine("fine", betas);
  CHECK(fine.level(T / 2 - 1).signal == Approx(vp_sde().level(0.5).signal).epsilon(1e-3));
}

TEST_CASE("sde: steps compose to the closed form, path by path", "[diffusion]") {
  for (const LinearSde& sde : all()) {
    CAPTURE(sde.name);
    const int64_t steps = 200;
    const Tensor x0 = randn({2, 3}, "x0", DType::f64);
    Tensor x = x0, combined = zeros({2, 3}, DType::f64);
    const NoiseLevel end = sde.level(1);
    for (int64_t i = 0; i < steps; ++i) {
      const double s = static_cast<double>(i) / steps, t = static_cast<double>(i + 1) / steps;
      RandomScope scope({.seed = 6, .step = i});
      const Tensor noise = randn({2, 3}, "noise", DType::f64);
      const NoiseLevel step = sde.transition(s, t);
      x = x * step.signal + noise * step.noise;
      combined = combined + noise * (end.signal / sde.level(t).signal * step.noise / end.noise);
    }
    CHECK(allclose(x / end.noise, (x0 * end.signal + combined * end.noise) / end.noise, 1e-12, 1e-12));
  }
}

TEST_CASE("sde: reverse drifts and refusals", "[diffusion]") {
  const LinearSde sde = vp_sde();
  const Tensor x = full({1, 1}, 0.7, DType::f64), score = full({1, 1}, -0.4, DType::f64);
  const double beta = 0.1 + 0.5 * 19.9;
  CHECK(sde.reverse_drift(x, score, 0.5).item() == Approx(-beta / 2 * 0.7 + beta * 0.4).epsilon(1e-13));
  CHECK(sde.reverse_drift(x, score, 0.5, 0.5).item() == Approx(-beta / 2 * 0.7 + beta * 0.2).epsilon(1e-13));
  CHECK_THROWS_WITH(sde.transition(0.5, 0.4), ContainsSubstring("vp_sde"));
  CHECK_THROWS_AS(vp_sde(-1, 2), Error);
  CHECK_THROWS_AS(ve_sde(2, 1), Error);
  const Score zero = [](const Tensor& at, double) { return at * 0.0; };
  CHECK_THROWS_WITH(euler_maruyama_sample(zero, sde, x, std::vector{0.5, 0.6}), ContainsSubstring("times must fall"));
  CHECK_THROWS_AS(euler_maruyama_sample(zero, sde, x, std::vector{0.5, 0.0}), Error);
}

TEST_CASE("sde samplers: the callback sees every step, an image does not depend on its batch", "[diffusion]") {
  const LinearSde sde = vp_sde();
  const Score score = score_of([](const Tensor& x, double sigma) { return x * (0.3 / (1 + sigma)); }, sde);
  const auto sample = [&](int64_t count, int64_t first, std::vector<SdeStep>* seen) {
    const Tensor x_T = initial_noise({count, 5}, 4, first, DType::f64);
    PredictorCorrectorOptions options{.noise = step_noise(4, first, DType::f64)};
    if (seen != nullptr) options.on_step = [seen](const SdeStep& step) { seen->push_back(step); };
    return predictor_corrector_sample(score, sde, x_T, even_times(6), options);
  };
  std::vector<SdeStep> seen;
  const Tensor all_rows = sample(4, 0, &seen);
  REQUIRE(seen.size() == 6);
  CHECK(seen[0].t == 1);
  CHECK(seen[5].t_next == Approx(1e-3));
  CHECK(allclose(seen[5].x_next, all_rows, 0, 0));
  const NoiseLevel level = sde.level(seen[2].t);
  CHECK(allclose(seen[2].x0, (seen[2].x / level.signal) * (0.3 / (1 + level.noise / level.signal)), 1e-9, 1e-9));
  const std::vector<double> whole = all_rows.to_vector(), part = sample(2, 2, nullptr).to_vector();
  CHECK(std::vector(whole.begin() + 10, whole.end()) == part);
}

TEST_CASE("sde samplers: one corrected step by hand", "[diffusion]") {
  const LinearSde sde = vp_sde();
  const Score score = [](const Tensor& x, double t) { return x * (-1 - t); };
  const std::vector<double> x{0.5, -2}, z{1.5, 0.7}, w{-0.3, 0.4};
  const NoiseSource noise = [&](int64_t draw, const Shape& shape) {
    return tensor_of(draw == 0 ? z : w, shape, DType::f64);
  };
  const double t = 0.8, t_next = 0.7, snr = 0.2;
  const NoiseLevel step = sde.transition(t_next, t);
  for (const bool by_norms : {true, false}) {
    const double ratio = std::hypot(z[0], z[1]) / ((1 + t) * std::hypot(x[0], x[1]));
    const double e = 2 * std::pow(step.signal * snr * (by_norms ? ratio : sde.level(t).noise), 2);
    std::vector<double> wanted;
    for (size_t i = 0; i < 2; ++i) {
      const double corrected = x[i] - e * (1 + t) * x[i] + std::sqrt(2 * e) * z[i];
      const double mean = (2 - step.signal) * corrected - step.noise * step.noise * (1 + t) * corrected;
      wanted.push_back(mean + step.noise * w[i]);
    }
    const Tensor found =
        predictor_corrector_sample(score, sde, tensor_of(x, {1, 2}, DType::f64), std::vector{t, t_next},
                                   {.snr = snr, .by_norms = by_norms, .noise = noise, .denoise_last = false});
    CHECK(allclose(found, tensor_of(wanted, {1, 2}, DType::f64), 1e-12, 1e-12));
  }
}
