#include <algorithm>
#include <cmath>

#include "catch.h"
#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

// E[x_0 | x_t] for data N(m, s²): the optimal denoiser, as a network that predicts the sample.
Denoiser gaussian_oracle(const NoiseSchedule& schedule, double m, double s2) {
  return [=](const Tensor& x_t, const Tensor& t) {
    const double a = schedule.alpha_cumprod(static_cast<int64_t>(t.to_vector()[0])), v = a * s2 + 1 - a;
    const double slope = std::sqrt(a) * s2 / v;
    return affine(x_t, slope, m - slope * std::sqrt(a) * m);
  };
}

// Not linear, so that clipping, order and conversions matter.
Tensor wavy(const Tensor& x, const Tensor& t) { return x * (0.3 + t.to_vector()[0] / 2000) + sin(x * 3.0) * 0.1; }

const PredictionOptions sample_prediction{.type = PredictionType::sample};

Tensor start(const Shape& shape, DType dtype = DType::f64) { return initial_noise(shape, 5, 0, dtype); }

double lambda(const NoiseSchedule& schedule, int64_t lecture_t, VarianceType variance) {
  // A change d of the predicted eps moves x_0 by noise/signal d and the step's mean by that times its x_0 coefficient;
  // the KL divergence of two Gaussians of variance g² is the squared shift of their means over 2 g².
  const int64_t t = lecture_t - 1;
  const AncestralStep step = ancestral_step(schedule, {t, t - 1}, variance);
  const NoiseLevel level = schedule.level(t);
  return std::pow(step.x0 * level.noise / level.signal / step.sigma, 2) / 2;
}

}  // namespace

TEST_CASE("ancestral_step: the weights of the variational bound", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const auto small = VarianceType::fixed_small;
  CHECK(lambda(ho, 2, small) == Approx(0.59967).epsilon(1e-5));
  CHECK(lambda(ho, 10, small) == Approx(0.08644).epsilon(1e-4));
  CHECK(lambda(ho, 100, small) == Approx(0.010267).epsilon(1e-4));
  CHECK(lambda(ho, 500, small) == Approx(0.0055082).epsilon(1e-5));
  CHECK(lambda(ho, 1000, small) == Approx(0.0102045).epsilon(1e-5));
  CHECK(lambda(ho, 2, VarianceType::fixed_large) == Approx(0.27269).epsilon(2e-5));
}

TEST_CASE("ancestral_step: variances, and none at t = 0", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const auto variance = [&](GridStep step, VarianceType type) {
    return std::pow(ancestral_step(ho, step, type).sigma, 2);
  };
  CHECK(variance({500, 499}, VarianceType::fixed_large) == Approx(ho.beta(500)).epsilon(1e-10).margin(0));
  CHECK(variance({500, 499}, VarianceType::fixed_small) == Approx(ho.posterior_variance(500)).epsilon(1e-10).margin(0));
  CHECK(variance({500, 499}, VarianceType::fixed_small_log) ==
        Approx(ho.posterior_variance(500)).epsilon(1e-10).margin(0));
  CHECK(variance({500, 400}, VarianceType::fixed_large) ==
        Approx(1 - ho.alpha_cumprod(500) / ho.alpha_cumprod(400)).epsilon(1e-10).margin(0));
  CHECK(variance({0, -1}, VarianceType::fixed_large) == 0);
  CHECK(variance({9, -1}, VarianceType::fixed_small) == Approx(1e-20).epsilon(1e-10).margin(0));  // diffusers' floor
  CHECK_THROWS_AS(parse_fixed_variance_type("learned_range"), Error);
  CHECK_THROWS_AS(ancestral_step(ho, {9, 8}, VarianceType::fixed_large_log), Error);
}

TEST_CASE("ancestral_sample: the exact spread of what it draws from Gaussian data", "[diffusion]") {
  // With a linear denoiser the sampler is linear in x_T and its noises. Row 0 follows x_T = 1; row 1 + i follows a
  // noise of 1 in step i alone. The squares of what arrives add up to the variance of the samples.
  const NoiseSchedule ho = linear_schedule(1000);
  const int64_t rows = 1001;
  Tensor x_T = zeros({rows, 1}, DType::f64);
  x_T.mutable_data<double>()[0] = 1;
  const auto impulse = [&](int64_t step, const Shape& shape) {
    Tensor noise = zeros(shape, DType::f64);
    noise.mutable_data<double>()[1 + step] = 1;
    return noise;
  };
  const auto spread = [&](VarianceType variance) {
    const Tensor x = ancestral_sample(gaussian_oracle(ho, 0, 0.25), ho, x_T,
                                      {.prediction = sample_prediction, .variance = variance, .noise = impulse});
    return sum(square(x)).item();
  };
  CHECK(spread(VarianceType::fixed_small) == Approx(0.2461252).epsilon(3e-7));
  CHECK(spread(VarianceType::fixed_large) == Approx(0.2507520).epsilon(3e-7));
}

TEST_CASE("ancestral_sample: a grid is the re-spaced schedule", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  std::vector<int64_t> ascending = sampling_timesteps(1000, {.steps = 7});
  std::reverse(ascending.begin(), ascending.end());
  const Denoiser on_few = [&](const Tensor& x, const Tensor& t) {
    const auto index = static_cast<size_t>(t.to_vector()[0]);
    return wavy(x, full({x.size(0)}, static_cast<double>(ascending[index])));
  };
  const Tensor x_T = start({2, 3});
  for (const auto variance : {VarianceType::fixed_small, VarianceType::fixed_large}) {
    AncestralOptions options{.timesteps = {.steps = 7}, .variance = variance, .noise = step_noise(1)};
    const Tensor on_grid = ancestral_sample(wavy, ho, x_T, options);
    options.timesteps = {};
    CHECK(allclose(on_grid, ancestral_sample(on_few, ho.respaced(ascending), x_T, options), 1e-9, 1e-9));
  }
}

TEST_CASE("ddim_sample: eta = 1 is ancestral sampling with the small variance", "[diffusion]") {
  const NoiseSchedule cosine = cosine_schedule(1000);
  const Tensor x_T = start({2, 3});
  for (const int64_t steps : {7, 20, 1000}) {  // 7 does not divide 1000: only on the shared grid do both agree
    for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
      const PredictionOptions prediction{.type = type};
      const NoiseSource noise = step_noise(2, 0, DType::f64);
      const Tensor ancestral = ancestral_sample(
          wavy, cosine, x_T, {.timesteps = {.steps = steps}, .prediction = prediction, .noise = noise});
      const Tensor ddim = ddim_sample(wavy, cosine, x_T,
                                      {.timesteps = {.steps = steps},
                                       .prediction = prediction,
                                       .eta = 1,
                                       .previous = PreviousStep::next_grid_point,
                                       .noise = noise});
      CAPTURE(steps, name_of(type));
      CHECK(allclose(ancestral, ddim, 1e-7, 1e-7));
    }
  }
}

TEST_CASE("ddim_sample: n steps on Gaussian data are a closed product", "[diffusion]") {
  // With sigma² = (1 - A)/A, a step multiplies x/sqrt(A) - m by (s² + sigma sigma') / (s² + sigma²).
  const NoiseSchedule ho = linear_schedule(1000);
  const double m = 0.7;
  const Tensor x_T = start({4, 1});
  for (const double s2 : {0.0, 0.25}) {
    for (const auto rule : {PreviousStep::next_grid_point, PreviousStep::fixed_stride}) {
      const TimestepOptions grid{.steps = 13, .spacing = TimestepSpacing::linspace};
      double factor = 1 / std::sqrt(ho.alpha_cumprod(999)), jump = 1;
      double level =
          -1;  // A after the last step: with a fixed stride the state is reinterpreted at the next grid point
      for (const auto [t, previous] : sampling_grid(1000, grid, rule)) {
        const double a = ho.alpha_cumprod(t), b = ho.alpha_cumprod(previous);
        const double sigma = std::sqrt((1 - a) / a), next = std::sqrt((1 - b) / b);
        jump *= (s2 + sigma * next) / (s2 + sigma * sigma);
        level = b;
      }
      const Tensor x = ddim_sample(gaussian_oracle(ho, m, s2), ho, x_T,
                                   {.timesteps = grid, .prediction = sample_prediction, .previous = rule});
      CHECK(level == 1);
      CAPTURE(s2);
      const Tensor wanted = affine(x_T, factor * jump, m - factor * jump * std::sqrt(ho.alpha_cumprod(999)) * m);
      if (rule == PreviousStep::next_grid_point) {
        CHECK(allclose(x, wanted, 1e-9, 1e-10));
      } else if (s2 > 0) {
        CHECK_FALSE(
            allclose(x, wanted, 1e-3, 1e-3));  // off the shared grid the product does not hold: the rule is used
      }
    }
  }
}

TEST_CASE("ddim_sample: one step is exact for a single point", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const Tensor x =
      ddim_sample(gaussian_oracle(ho, -0.6, 0), ho, start({2, 3}, DType::f32),
                  {.timesteps = {.steps = 1, .spacing = TimestepSpacing::trailing}, .prediction = sample_prediction});
  CHECK(x.dtype() == DType::f32);
  CHECK(allclose(x, full({2, 3}, -0.6), 1e-6, 1e-6));
}

TEST_CASE("ddim_sample: set_alpha_to_one and clipped output", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(10, 0.05, 0.3);
  CHECK(ddim_step(ho, {0, -1}, 0).x0 == 1);
  CHECK(ddim_step(ho, {0, -1}, 0, false).x0 == Approx(std::sqrt(0.95)));
  CHECK(ddim_step(ho, {0, -1}, 0, false).epsilon == Approx(std::sqrt(0.05)));
  // A network that predicts x_0 = 3 everywhere, clipped to 2: with the direction derived from the clipped image, every
  // step is the mixture of 2 and that direction.
  const Tensor x_T = full({1, 1}, 1.0, DType::f64);
  DdimOptions options{.timesteps = {.steps = 1, .spacing = TimestepSpacing::trailing},
                      .prediction = {.type = PredictionType::sample, .clip_sample = true, .clip_sample_range = 2},
                      .set_alpha_to_one = false};
  const Denoiser three = [](const Tensor& x, const Tensor&) { return full_like(x, 3); };
  const NoiseLevel level = ho.level(9), first = ho.level(0);
  for (const bool use_clipped : {false, true}) {
    options.use_clipped_model_output = use_clipped;
    const double eps = (1.0 - level.signal * (use_clipped ? 2 : 3)) / level.noise;
    CHECK(ddim_sample(three, ho, x_T, options).item() == Approx(first.signal * 2 + first.noise * eps).epsilon(1e-12));
  }
}

TEST_CASE("samplers: the callback sees every step, clipped", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(100, 0.001, 0.2);
  std::vector<SamplerStep> seen;
  const StepCallback watch = [&](const SamplerStep& step) { seen.push_back(step); };
  const PredictionOptions clipped{.type = PredictionType::epsilon, .clip_sample = true, .clip_sample_range = 0.5};
  const Tensor x_T = start({2, 1, 2, 2}, DType::f32) * 3.0;
  const Tensor a =
      ancestral_sample(wavy, ho, x_T, {.timesteps = {.steps = 4}, .prediction = clipped, .on_step = watch});
  const Tensor b = ddim_sample(wavy, ho, x_T, {.timesteps = {.steps = 4}, .prediction = clipped, .on_step = watch});
  REQUIRE(seen.size() == 8);
  for (size_t i = 0; i < 8; ++i) {
    CHECK(seen[i].index == static_cast<int64_t>(i % 4));
    CHECK(seen[i].steps == 4);
    CHECK(seen[i].t == 75 - 25 * seen[i].index);
    CHECK(amax(abs(seen[i].x0)).item() <= 0.5);
    CHECK(allclose(seen[i].x_t, i % 4 == 0 ? x_T : seen[i - 1].x_previous, 0, 0));
  }
  CHECK(amax(abs(seen[0].x0)).item() == 0.5);  // something was there to clip
  CHECK(allclose(a, seen[3].x_previous, 0, 0));
  CHECK(allclose(b, seen[7].x_previous, 0, 0));
}

TEST_CASE("samplers: an image does not depend on the batch it is drawn in", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(20, 0.01, 0.3);
  const auto sample = [&](int64_t count, int64_t first, uint64_t seed) {
    const Tensor x_T = initial_noise({count, 3}, seed, first);
    return ancestral_sample(wavy, ho, x_T, {.noise = step_noise(seed, first)});
  };
  const Tensor all = sample(5, 0, 9);
  CHECK(allclose(sample(2, 3, 9), slice(all, 0, 3, 5), 0, 0));
  CHECK_FALSE(allclose(sample(2, 2, 9), slice(all, 0, 3, 5), 1e-3, 1e-3));
  CHECK_FALSE(allclose(sample(5, 0, 10), all, 1e-3, 1e-3));
  // Fresh noise in each step, none of it the start's.
  const NoiseSource noise = step_noise(9);
  CHECK_FALSE(allclose(noise(0, {4, 3}), noise(1, {4, 3}), 1e-3, 1e-3));
  CHECK_FALSE(allclose(noise(0, {4, 3}), initial_noise({4, 3}, 9), 1e-3, 1e-3));
  // Without a source, the scope in force says which images these are.
  RandomScope scope({.seed = 9, .step = 77, .first_sample = 3});
  const Tensor x_T = initial_noise({2, 3}, 9, 3);
  CHECK(allclose(ancestral_sample(wavy, ho, x_T), slice(all, 0, 3, 5), 0, 0));
}

TEST_CASE("samplers: errors name the sampler", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(10);
  const Denoiser shrinks = [](const Tensor& x, const Tensor&) { return slice(x, 1, 0, 1); };
  const NoiseSource scalar_noise = [](int64_t, const Shape&) { return scalar(0); };
  const Tensor x_T = start({2, 3});
  CHECK_THROWS_WITH(ancestral_sample(shrinks, ho, x_T),
                    ContainsSubstring("ancestral_sample: the denoiser returned (2, 1)"));
  CHECK_THROWS_WITH(ddim_sample(wavy, ho, x_T, {.eta = 1.5}), ContainsSubstring("eta must lie in [0, 1], got 1.5"));
  CHECK_THROWS_WITH(ddim_sample(wavy, ho, x_T, {.eta = 1, .noise = scalar_noise}), ContainsSubstring("noise source"));
  CHECK_THROWS_AS(ancestral_sample(wavy, ho, scalar(1.0)), Error);
}
