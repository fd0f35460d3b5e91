#include "diffusion/process/mixture.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "catch.h"
#include "diffusion/plot/densities.h"
#include "diffusion/process/gaussian.h"
#include "diffusion/process/trajectory.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

const GaussianMixture& example() {
  static const GaussianMixture mixture = GaussianMixture::parse("0.3:-2:0.5,0.7:1:0.3");
  return mixture;
}

// The integral of f over low..high by the midpoint rule, which converges exponentially for such smooth bells.
template <class F>
double integral(double low, double high, F&& f) {
  constexpr int kPieces = 4000;
  double sum = 0;
  for (int i = 0; i < kPieces; ++i) sum += f(low + (high - low) * (i + 0.5) / kPieces);
  return sum * (high - low) / kPieces;
}

double normal_density(double x, double mean, double stddev) {
  const double z = (x - mean) / stddev;
  return std::exp(-0.5 * z * z) / (stddev * std::sqrt(2 * std::numbers::pi));
}

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double cdf(const GaussianMixture& mixture, double x) {
  double sum = 0;
  for (const GaussianComponent& c : mixture.components()) sum += c.weight * normal_cdf((x - c.mean) / c.stddev);
  return sum;
}

// The largest distance between the values' distribution and the mixture's (Kolmogorov and Smirnov's statistic).
double distance(std::vector<double> values, const GaussianMixture& mixture) {
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double expected = cdf(mixture, values[i]);
    largest = std::max({largest, std::abs(expected - static_cast<double>(i) / n),
                        std::abs(expected - static_cast<double>(i + 1) / n)});
  }
  return largest;
}

// What that statistic exceeds once in a million for n values of the right distribution.
double one_in_a_million(int64_t n) { return std::sqrt(-0.5 * std::log(0.5e-6) / static_cast<double>(n)); }

double covariance(const std::vector<double>& a, const std::vector<double>& b) {
  double mean_a = 0, mean_b = 0, sum = 0;
  const auto n = static_cast<double>(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    mean_a += a[i] / n;
    mean_b += b[i] / n;
  }
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
  return sum / n;
}

}  // namespace

TEST_CASE("mixture: parsed, with relative weights", "[diffusion][mixture]") {
  const GaussianMixture mixture = GaussianMixture::parse("1:-2:0.5,3:1e1:.25");
  REQUIRE(mixture.components().size() == 2);
  CHECK(mixture.components()[0].weight == 0.25);
  CHECK(mixture.components()[1].weight == 0.75);
  CHECK(mixture.components()[1].mean == 10);
  CHECK(mixture.components()[1].stddev == 0.25);
  for (const char* bad :
       {"", "1", "1:2", "1:2:", "1:2:3:4", "a:2:3", "1:2:3,", ",1:2:3", "1:2:3,,1:2:3", "0:1:1", "-1:1:1", "1:1:0",
        "1:1:-1", "1:nan:1", "inf:0:1", "1:0:inf", "1 :0:1", "1e308:0:1,1e308:0:1"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(GaussianMixture::parse(bad), Error);
  }
}

TEST_CASE("mixture: diffused densities integrate to 1 and are the convolution with the noise", "[diffusion][mixture]") {
  const NoiseSchedule schedule = linear_schedule(1000);
  for (const int64_t t : {0, 1, 30, 200, 1000}) {
    const NoiseLevel level = schedule.level(t - 1);
    const GaussianMixture at_t = example().diffused(level);
    CAPTURE(t);
    CHECK(integral(-12, 12, [&](double x) { return at_t.density(x); }) == Approx(1).epsilon(1e-9));
    CHECK(at_t.mean() == Approx(level.signal * example().mean()).margin(1e-12));
    CHECK(at_t.variance() ==
          Approx(level.signal * level.signal * example().variance() + level.noise * level.noise).epsilon(1e-12));
    for (const double x : {-2.5, -0.4, 0.0, 0.9, 1.7}) {
      const double direct = t == 0 ? example().density(x) : integral(-6, 4, [&](double x0) {
        return example().density(x0) * normal_density(x, level.signal * x0, level.noise);
      });
      CHECK(at_t.density(x) == Approx(direct).epsilon(t == 1 ? 1e-3 : 1e-9));  // noise of std 0.01 is hardly resolved
    }
  }
  const GaussianMixture last = example().diffused(schedule.level(999));
  for (const double x : {-1.0, 0.0, 2.0}) CHECK(last.density(x) == Approx(normal_density(x, 0, 1)).epsilon(0.03));
}

TEST_CASE("mixture: the table of densities is density() at each place and time", "[diffusion][mixture]") {
  const NoiseSchedule schedule = cosine_schedule(40);
  const std::vector<int64_t> times{0, 7, 40};
  const std::vector<double> x = plot::density_places(example(), 11);
  CHECK(x.front() == Approx(-2 - 3.5 * 0.5));
  CHECK(x.back() == 3.5);
  const Tensor table = plot::diffused_densities(example(), schedule, times, x);
  REQUIRE(table.shape() == Shape{3, 11});
  for (size_t k = 0; k < times.size(); ++k) {
    for (size_t i = 0; i < x.size(); ++i) {
      CHECK(table.data<double>()[k * 11 + i] == example().diffused(schedule.level(times[k] - 1)).density(x[i]));
    }
  }
}

TEST_CASE("mixture: samples follow the density and depend on their index alone", "[diffusion][mixture]") {
  const RandomScope scope({.seed = 5, .step = 0, .first_sample = 0});
  const Tensor samples = example().sample(20000);
  CHECK(distance(samples.to_vector(), example()) < one_in_a_million(20000));
  const std::vector<double> all = samples.to_vector(), few = example().sample(7).to_vector();
  CHECK(std::equal(few.begin(), few.end(), all.begin()));
  const RandomScope shifted({.seed = 5, .step = 0, .first_sample = 100});
  CHECK(example().sample(1).item() == all[100]);
}

TEST_CASE("trajectory: noised samples have the diffused density, in one go and step by step", "[diffusion][mixture]") {
  const NoiseSchedule schedule = cosine_schedule(60);
  const std::vector<int64_t> times{0, 5, 25, 60};
  constexpr int64_t kCount = 20000;
  const RandomScope scope({.seed = 11, .step = 0, .first_sample = 0});
  const Tensor x0 = example().sample(kCount);
  for (const NoisingMode mode : {NoisingMode::closed_form, NoisingMode::stepwise}) {
    const Tensor x = noising_trajectory(schedule, x0, times, mode);
    REQUIRE(x.shape() == Shape{4, kCount});
    CHECK(select(x, 0, 0).to_vector() == x0.to_vector());
    for (size_t k = 0; k < times.size(); ++k) {
      CAPTURE(times[k]);
      const std::vector<double> values = select(x, 0, static_cast<int64_t>(k)).to_vector();
      const GaussianMixture expected = example().diffused(schedule.level(times[k] - 1));
      CHECK(distance(values, expected) < one_in_a_million(kCount));
      // Of the variance: within 6 standard errors of a distribution of kurtosis below 4.
      CHECK(covariance(values, values) == Approx(expected.variance()).epsilon(6 * std::sqrt(3.0 / kCount)));
    }
    // Between two times, of the chain: Cov(x_s, x_t) = sqrt(A_t / A_s) Var(x_s). One noise for all times has more:
    // a_s a_t Var(x_0) + b_s b_t.
    const NoiseLevel s = schedule.level(4), t = schedule.level(24);
    const double variance_s = example().diffused(s).variance();
    const double chain = t.signal / s.signal * variance_s;
    const double joint = s.signal * t.signal * example().variance() + s.noise * t.noise;
    const double measured = covariance(select(x, 0, 1).to_vector(), select(x, 0, 2).to_vector());
    CHECK(joint - chain > 0.05);
    CHECK(measured == Approx(mode == NoisingMode::stepwise ? chain : joint).margin(0.02 * variance_s + 0.01));
  }
}

TEST_CASE("trajectory: the closed form is q_sample with one noise", "[diffusion][mixture]") {
  const NoiseSchedule schedule = linear_schedule(100);
  const std::vector<int64_t> times{1, 40, 100};
  const Tensor x0 = rand({3, 2, 4}, "x0");
  const Tensor x = noising_trajectory(schedule, x0, times);
  // The noise that x_1 came from brings about the others, too.
  const NoiseLevel first = schedule.level(0);
  for (size_t k = 1; k < times.size(); ++k) {
    const NoiseLevel level = schedule.level(times[k] - 1);
    for (int64_t i = 0; i < x0.numel(); ++i) {
      const double noise = (x.data<float>()[i] - first.signal * x0.data<float>()[i]) / first.noise;
      const double expected = level.signal * x0.data<float>()[i] + level.noise * noise;
      CHECK(x.data<float>()[static_cast<int64_t>(k) * x0.numel() + i] == Approx(expected).margin(1e-4));
    }
  }
}

TEST_CASE("trajectory: a row depends on the seed and its index, the last time is a standard normal",
          "[diffusion][mixture]") {
  const NoiseSchedule schedule = linear_schedule(1000);
  const std::vector<int64_t> times{10, 1000};
  for (const NoisingMode mode : {NoisingMode::closed_form, NoisingMode::stepwise}) {
    const Tensor x0 = rand({4, 1, 12, 12}, "x0") * 2.0 - 1.0;
    const RandomScope scope({.seed = 3, .step = 0, .first_sample = 0});
    const Tensor all = noising_trajectory(schedule, x0, times, mode);
    {
      const RandomScope shifted({.seed = 3, .step = 0, .first_sample = 2});
      const Tensor tail = noising_trajectory(schedule, narrow(x0, 0, 2, 2).contiguous(), times, mode);
      CHECK(tail.to_vector() == narrow(all, 1, 2, 2).to_vector());
    }
    CHECK(distance(select(all, 0, 1).to_vector(), GaussianMixture::parse("1:0:1")) < one_in_a_million(4 * 144));
    const RandomScope other({.seed = 4, .step = 0, .first_sample = 0});
    CHECK(noising_trajectory(schedule, x0, times, mode).to_vector() != all.to_vector());
  }
}

TEST_CASE("trajectory: times outside the schedule or out of order are refused", "[diffusion][mixture]") {
  const NoiseSchedule schedule = linear_schedule(10);
  const Tensor x0 = zeros({2, 2});
  for (const std::vector<int64_t>& times : {std::vector<int64_t>{}, {-1}, {11}, {3, 3}, {5, 4}}) {
    CHECK_THROWS_AS(noising_trajectory(schedule, x0, times), Error);
    CHECK_THROWS_AS(noising_trajectory(schedule, x0, times, NoisingMode::stepwise), Error);
  }
  const std::vector<int64_t> last{10};
  CHECK_THROWS_AS(noising_trajectory(schedule, zeros({2, 2}, DType::i64), last), Error);
  CHECK(noising_trajectory(schedule, x0, last).shape() == Shape{1, 2, 2});
}

TEST_CASE("forward process: a million draws, step by step and at once, have the mixture's distribution",
          "[diffusion]") {
  // Steps from small to large, so that a wrong coefficient shows early and late.
  const NoiseSchedule steep = linear_schedule(30, 1e-3, 0.12);
  constexpr int64_t kCount = 1'000'000;
  const RandomScope scope({.seed = 12});
  const Tensor x0 = example().sample(kCount).reshape({kCount, 1});
  Tensor x = x0;
  for (int64_t t = 0; t < 30; ++t) {
    const RandomScope step({.seed = 12, .step = t + 1});
    const Tensor index = full({kCount}, static_cast<double>(t), DType::i64);
    x = q_step(steep, x, index, randn({kCount, 1}, "step", DType::f64));
    if (t != 0 && t != 9 && t != 29) continue;
    const GaussianMixture wanted = example().diffused(steep.level(t));
    const Tensor direct = q_sample(steep, x0, index, randn({kCount, 1}, "direct", DType::f64));
    CAPTURE(t);
    CHECK(distance(x.to_vector(), wanted) < one_in_a_million(kCount));
    CHECK(distance(direct.to_vector(), wanted) < one_in_a_million(kCount));
    // The test can tell: a step too early or late is another distribution.
    if (t > 0) CHECK(distance(x.to_vector(), example().diffused(steep.level(t - 1))) > one_in_a_million(kCount));
  }
}
