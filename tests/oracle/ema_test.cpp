// Fact 21: power-function averages.
#include "nn/optim/power_ema.h"
#include "tests/oracle/support.h"

using namespace sfumato;

namespace {

// The average of theta(t) = t^k after `steps` updates, as a training loop makes it.
double averaged(double gamma, double k, int64_t steps) {
  double average = 0;
  for (int64_t t = 1; t <= steps; ++t) {
    average += (1 - power_ema_decay(t, gamma)) * (std::pow(static_cast<double>(t), k) - average);
  }
  return average;
}

}  // namespace

TEST_CASE("oracle 21 the power-function average, its decay and its width", "[oracle]") {
  CHECK(power_ema_decay(1, 5) == 0);
  CHECK(power_ema_decay(10, 2.5) == Approx(std::pow(0.9, 3.5)).epsilon(1e-13));
  for (const double gamma : {0.5, 6.94, 16.97, 100.0}) {
    const double wanted = std::sqrt((gamma + 1) / (std::pow(gamma + 2, 2) * (gamma + 3)));
    CHECK(power_ema_sigma_rel(gamma) == Approx(wanted).epsilon(1e-13));
    CHECK(power_ema_gamma(wanted) == Approx(gamma).epsilon(1e-9));
    // Mean and deviation of the profile u^gamma on [0, 1], by moments: sigma_rel is the deviation.
    const double mean = (gamma + 1) / (gamma + 2), square = (gamma + 1) / (gamma + 3);
    CHECK(power_ema_sigma_rel(gamma) == Approx(std::sqrt(square - mean * mean)).epsilon(1e-9));
    // On theta = t^k the average is (gamma + 1)/(gamma + 1 + k) t^k in the limit of many steps.
    for (const double k : {0.5, 1.0, 2.0}) {
      const double limit = (gamma + 1) / (gamma + 1 + k) * std::pow(20000.0, k);
      CHECK(averaged(gamma, k, 20000) == Approx(limit).epsilon(2e-4));
    }
  }
  CHECK(power_ema_gamma(0.05) == Approx(16.97).epsilon(1e-3));  // the paper's two
  CHECK(power_ema_gamma(0.10) == Approx(6.94).epsilon(1e-3));
}

TEST_CASE("oracle 21 a width that was not kept, put together afterwards", "[oracle]") {
  // Two widths, kept at eight times; theta(t) = t^k has a known average for every width.
  std::vector<PowerProfile> snapshots;
  for (int i = 1; i <= 8; ++i) {
    for (const double sigma_rel : {0.05, 0.10}) snapshots.push_back({i * 1000.0, power_ema_gamma(sigma_rel)});
  }
  const auto average = [](const PowerProfile& profile, double k) {
    return (profile.gamma + 1) / (profile.gamma + 1 + k) * std::pow(profile.t, k);
  };
  for (const double sigma_rel : {0.06, 0.08, 0.12}) {
    const PowerProfile wanted{8000, power_ema_gamma(sigma_rel)};
    const auto weights = post_hoc_weights(snapshots, wanted);
    for (const double k : {0.0, 0.5, 1.0, 2.0}) {
      double found = 0;
      for (size_t i = 0; i < snapshots.size(); ++i) found += weights[i] * average(snapshots[i], k);
      CHECK(found == Approx(average(wanted, k)).epsilon(2e-3));
    }
  }
  // One that was kept is itself.
  const auto same = post_hoc_weights(snapshots, snapshots[5]);
  for (size_t i = 0; i < same.size(); ++i) CHECK(same[i] == Approx(i == 5 ? 1 : 0).margin(1e-6));
  CHECK_THROWS_AS(post_hoc_weights({}, snapshots[0]), Error);
}
