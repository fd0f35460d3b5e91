// Facts 5, 6 and 20: nats, bits and bins.
#include "diffusion/likelihood/decoder.h"
#include "diffusion/process/binomial.h"
#include "tests/oracle/support.h"

using namespace sfumato;
using namespace sfumato::oracle_tests;

TEST_CASE("oracle 05 nats to bits per dimension", "[oracle]") {
  const double nats = 1234.5;
  const int64_t dims = 3072;
  CHECK(bits_per_dim(nats, dims) == Approx(nats / (3072 * std::log(2.0))).epsilon(1e-14));
  CHECK(bits_per_dim(nats, dims, 127.5) == Approx(nats / (3072 * std::log(2.0)) + std::log2(127.5)).epsilon(1e-14));
  // The units: a density of pixels in [-1, 1] that is flat, 2^-D, is 8 bits for 256 levels of width 1/128.
  CHECK(bits_per_dim(dims * std::log(2.0), dims, 128) == Approx(8).epsilon(1e-14));
  // And with Ho et al.'s bins, of width 2/255, a smooth density's bits are those of the bins' masses.
  const double deviation = 0.4;
  double from_bins = 0, from_density = 0;
  const Tensor variance = full({}, deviation * deviation, DType::f64);
  for (int level = 60; level <= 190; ++level) {
    const double x = level / 127.5 - 1;
    from_bins -= discretized_gaussian_log_likelihood(row({x}), row({0.1}), variance).item();
    from_density -= normal_log_density(x, 0.1, deviation * deviation);
  }
  CHECK(bits_per_dim(from_bins, 131) == Approx(bits_per_dim(from_density, 131, 127.5)).epsilon(1e-4));
}

TEST_CASE("oracle 06 the 256 bins of the decoder", "[oracle]") {
  std::vector<double> levels;
  for (int i = 0; i < 256; ++i) levels.push_back(i / 127.5 - 1);
  const Tensor x = tensor_of(levels, {256, 1}, DType::f64);
  const auto cdf = [](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); };
  for (const double mean_value : {-1.0, -0.2, 0.97, 3.0}) {
    for (const double deviation : {1e-3, 0.05, 1.0, 30.0}) {
      const Tensor log_p = discretized_gaussian_log_likelihood(x, full({256, 1}, mean_value, DType::f64),
                                                               full({}, deviation * deviation, DType::f64));
      CHECK(sum(exp(log_p)).item() == Approx(1).epsilon(1e-13));
      for (const size_t i : {0, 1, 128, 255}) {
        const double low = i == 0 ? 0 : cdf((levels[i] - 1.0 / 255 - mean_value) / deviation);
        const double high = i == 255 ? 1 : cdf((levels[i] + 1.0 / 255 - mean_value) / deviation);
        CHECK(std::exp(log_p.to_vector()[i]) == Approx(high - low).epsilon(1e-9).margin(1e-13));
      }
    }
  }
  // Far tails keep their digits: at z = a, the mass is phi(a)/a (1 - 1/a² + 3/a⁴ - ...) and the bin's other end is far.
  const double deviation = 0.01, a = (1.0 - 1.0 / 255 + 0.5) / deviation;
  const double wanted = -a * a / 2 - 0.5 * std::log(2 * std::numbers::pi) - std::log(a) + std::log1p(-1 / (a * a));
  const Tensor far =
      discretized_gaussian_log_likelihood(row({1}), row({-0.5}), full({}, deviation * deviation, DType::f64));
  CHECK(far.item() == Approx(wanted).epsilon(1e-12));
  CHECK(far.item() < -11000);
}

TEST_CASE("oracle 20 the binary heartbeat's bits, and the schedule without a prior term", "[oracle]") {
  // One 1 in five, at one of five phases, in 20 places.
  Tensor beats = zeros({5, 20}, DType::f64);
  for (int64_t phase = 0; phase < 5; ++phase) {
    for (int64_t i = phase; i < 20; i += 5) beats.mutable_data<double>()[phase * 20 + i] = 1;
  }
  const auto in_bits = [](const Tensor& nats) { return nats / std::numbers::ln2; };
  // Knowing the phases only: each has probability 1/5.
  CHECK(std::log2(0.2) == Approx(-2.3219).epsilon(0).margin(5e-5));
  // Independent bits of the right frequency.
  const double baseline =
      -mean(sum(in_bits(bernoulli_log_likelihood(beats, full({5, 20}, 0.2, DType::f64))), {1})).item();
  const double entropy = -0.2 * std::log2(0.2) - 0.8 * std::log2(0.8);
  CHECK(baseline == Approx(20 * entropy).epsilon(1e-12));
  CHECK(baseline == Approx(14.4386).epsilon(0).margin(5e-5));

  const NoiseSchedule schedule = harmonic_schedule(2000);
  const auto at = [](int64_t t) { return full({5}, static_cast<double>(t), DType::i64); };
  for (const int64_t t : {1, 500, 1999, 2000}) {
    const double keep = (2000.0 - static_cast<double>(t)) / 2000;
    CHECK(schedule.alpha_cumprod(t - 1) == Approx(keep).margin(1e-13));
    std::vector<double> wanted;
    for (const double bit : beats.to_vector()) wanted.push_back(keep * bit + (1 - keep) / 2);
    check_close(binomial_marginal(schedule, beats, at(t - 1)), wanted, 1e-12);
  }
  const Tensor last = binomial_marginal(schedule, beats, at(1999));
  CHECK(sum(bernoulli_kl(last, full({5, 20}, 0.5, DType::f64))).item() == 0);  // L_T
  // The posterior by enumeration: P(x_{t-1}, x_t | x_0) = P(x_{t-1} | x_0) P(x_t | x_{t-1}).
  const NoiseSchedule steep = linear_schedule(6, 0.1, 0.5);
  for (const double bit : {0.0, 1.0}) {
    for (const double seen : {0.0, 1.0}) {
      const Tensor t = full({1}, 4, DType::i64), before = full({1}, 3, DType::i64);
      const auto joint = [&](double previous) {
        const double p = binomial_marginal(steep, row({bit}), before).item();
        const double q = binomial_step(steep, row({previous}), t).item();
        return (previous == 1 ? p : 1 - p) * (seen == 1 ? q : 1 - q);
      };
      CHECK(binomial_posterior(steep, row({seen}), row({bit}), t).item() ==
            Approx(joint(1) / (joint(0) + joint(1))).epsilon(1e-12));
    }
  }
}

TEST_CASE("oracle 20 a unit Gaussian takes log2(2 pi e) bits for a point of the swiss roll", "[oracle]") {
  // The toy set has mean square 1 per coordinate, so its cross entropy with N(0, I) is exactly that.
  const double nats = -2 * (normal_log_density(0, 0, 1) - 0.5);
  CHECK(bits_per_dim(nats, 2) * 2 == Approx(std::log2(2 * std::numbers::pi * std::numbers::e)).epsilon(1e-12));
  CHECK(bits_per_dim(nats, 2) * 2 == Approx(4.0942).epsilon(0).margin(5e-5));
}
