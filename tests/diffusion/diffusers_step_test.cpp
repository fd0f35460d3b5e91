// diffusers' DDIM and ancestral steps, written a second time: plain loops over numbers from the papers' formulas and
// the scheduler's documented rules, sharing nothing with the samplers. Both must draw the same over many
// configurations.
#include <algorithm>
#include <cmath>
#include <functional>

#include "catch.h"
#include "diffusion/schedule/scheduler_config.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

constexpr int T = 50;

// A network of two numbers' worth of wit: the prediction, and where it is asked for a variance in (-1, 1).
double predict(double x, int t) { return 0.6 * x + 0.3 * std::sin(3 * x) + 0.002 * t; }
double wide(double x, int t) { return std::sin(5 * x + t); }

struct Rules {
  std::string spacing = "leading", prediction = "epsilon", variance = "fixed_small";
  int n = 10, offset = 0;
  bool clip = false, final_one = true, threshold = false, zero_snr = false;
  double range = 1, ratio = 0.8, max_value = 1.5, eta = 0;
};

std::vector<double> levels(const Rules& rules) {
  std::vector<double> a(T);
  double product = 1;
  for (int t = 0; t < T; ++t) a[static_cast<size_t>(t)] = product *= 1 - (0.001 + (0.2 - 0.001) * t / (T - 1));
  if (rules.zero_snr) {
    const double first = std::sqrt(a.front()), last = std::sqrt(a.back());
    for (double& value : a) value = std::pow((std::sqrt(value) - last) * first / (first - last), 2);
  }
  return a;
}

std::vector<int> times(const Rules& rules) {
  std::vector<int> out;
  for (int i = 0; i < rules.n; ++i) {
    const double whole = T - 1;
    if (rules.spacing == "leading") out.push_back(i * (T / rules.n) + rules.offset);
    if (rules.spacing == "linspace") out.push_back(static_cast<int>(std::nearbyint(i * whole / (rules.n - 1))));
    if (rules.spacing == "trailing") {
      out.push_back(static_cast<int>(std::nearbyint(T - (rules.n - 1 - i) * (static_cast<double>(T) / rules.n))) - 1);
    }
  }
  std::reverse(out.begin(), out.end());
  return out;
}

// x_0 for all numbers of one sample: thresholding looks at them together.
std::vector<double> clean(const Rules& rules, const std::vector<double>& x, double a, int t) {
  std::vector<double> x0;
  for (const double value : x) {
    const double m = predict(value, t), s = std::sqrt(a), n = std::sqrt(1 - a);
    x0.push_back(rules.prediction == "epsilon"  ? (value - n * m) / s
                 : rules.prediction == "sample" ? m
                                                : s * value - n * m);
  }
  if (rules.threshold) {
    std::vector<double> sizes;
    for (const double value : x0) sizes.push_back(std::abs(value));
    std::sort(sizes.begin(), sizes.end());
    const double rank = rules.ratio * static_cast<double>(sizes.size() - 1);
    const auto below = static_cast<size_t>(rank);
    const double quantile = below + 1 < sizes.size()
                                ? sizes[below] + (rank - std::floor(rank)) * (sizes[below + 1] - sizes[below])
                                : sizes[below];
    const double s = std::min(std::max(quantile, 1.0), rules.max_value);
    for (double& value : x0) value = std::max(-s, std::min(s, value)) / s;
  } else if (rules.clip) {
    for (double& value : x0) value = std::max(-rules.range, std::min(rules.range, value));
  }
  return x0;
}

using Noise = std::function<double(int step, size_t i)>;

std::vector<double> ddim(const Rules& rules, std::vector<double> x, const Noise& noise) {
  const auto a = levels(rules);
  int step = 0;
  for (const int t : times(rules)) {
    const int back = t - T / rules.n;
    const double at = a[static_cast<size_t>(t)];
    const double ap = back >= 0 ? a[static_cast<size_t>(back)] : rules.final_one ? 1.0 : a[0];
    const double sigma = rules.eta * std::sqrt((1 - ap) / (1 - at) * (1 - at / ap));
    const auto x0 = clean(rules, x, at, t);
    for (size_t i = 0; i < x.size(); ++i) {
      const double m = predict(x[i], t), s = std::sqrt(at), n = std::sqrt(1 - at);
      const double eps = rules.prediction == "epsilon"  ? m
                         : rules.prediction == "sample" ? (x[i] - s * m) / n
                                                        : s * m + n * x[i];
      x[i] = std::sqrt(ap) * x0[i] + std::sqrt(1 - ap - sigma * sigma) * eps +
             sigma * (rules.eta > 0 ? noise(step, i) : 0);
    }
    ++step;
  }
  return x;
}

std::vector<double> ddpm(const Rules& rules, std::vector<double> x, const Noise& noise) {
  const auto a = levels(rules);
  const auto grid = times(rules);
  for (size_t k = 0; k < grid.size(); ++k) {
    const int t = grid[k];
    const double at = a[static_cast<size_t>(t)], ap = k + 1 < grid.size() ? a[static_cast<size_t>(grid[k + 1])] : 1;
    const double alpha = at / ap, beta = 1 - alpha, small = std::max((1 - ap) / (1 - at) * beta, 1e-20);
    const auto x0 = clean(rules, x, at, t);
    for (size_t i = 0; i < x.size(); ++i) {
      const double v = wide(x[i], t), w = (v + 1) / 2;
      const double variance = rules.variance == "fixed_large" ? beta
                              : rules.variance == "learned"   ? 0.5 + v / 4
                              : rules.variance == "learned_range"
                                  ? std::exp(w * std::log(beta) + (1 - w) * std::log(small))
                                  : small;
      const double mean = std::sqrt(ap) * beta / (1 - at) * x0[i] + std::sqrt(alpha) * (1 - ap) / (1 - at) * x[i];
      x[i] = mean + (t > 0 ? std::sqrt(variance) * noise(static_cast<int>(k), i) : 0);
    }
  }
  return x;
}

SchedulerConfig config_of(const Rules& rules) {
  SchedulerConfig config;
  config.schedule = {
      .num_train_timesteps = T, .beta_start = 0.001, .beta_end = 0.2, .rescale_betas_zero_snr = rules.zero_snr};
  config.timestep_spacing = parse_timestep_spacing(rules.spacing);
  config.prediction_type = parse_prediction_type(rules.prediction);
  config.variance_type = parse_variance_type(rules.variance);
  config.steps_offset = rules.offset;
  config.clip_sample = rules.clip;
  config.clip_sample_range = rules.range;
  config.set_alpha_to_one = rules.final_one;
  config.thresholding = rules.threshold;
  config.dynamic_thresholding_ratio = rules.ratio;
  config.sample_max_value = rules.max_value;
  return config;
}

// One sample of seven numbers in one channel; with a variance where the rules want one.
Denoiser network(const std::string& variance) {
  return [variance](const Tensor& x, const Tensor& t) {
    const int time = static_cast<int>(t.to_vector()[0]);
    std::vector<double> out, extra;
    for (const double value : x.to_vector()) {
      out.push_back(predict(value, time));
      extra.push_back(variance == "learned" ? 0.5 + wide(value, time) / 4 : wide(value, time));
    }
    const Tensor prediction = tensor_of(out, x.shape(), x.dtype());
    if (!variance.starts_with("learned")) return prediction;
    return cat({prediction, tensor_of(extra, x.shape(), x.dtype())}, 1);
  };
}

const std::vector<double> kStart{-2.1, -1.2, -0.4, 0.1, 0.7, 1.3, 2.4};

double noise_value(int step, size_t i) { return std::sin(7.0 * step + 2.0 * static_cast<double>(i) + 1); }

Tensor noise_tensor(int64_t step, const Shape& shape) {
  std::vector<double> values;
  for (size_t i = 0; i < kStart.size(); ++i) values.push_back(noise_value(static_cast<int>(step), i));
  return tensor_of(values, shape, DType::f64);
}

void check_close(const std::vector<double>& found, const std::vector<double>& expected) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    CHECK(std::isfinite(expected[i]));
    CHECK(found[i] == Approx(expected[i]).epsilon(1e-9).margin(1e-9));
  }
}

std::vector<Rules> all_rules() {
  std::vector<Rules> all;
  for (const char* spacing : {"leading", "trailing", "linspace"}) {
    for (const char* prediction : {"epsilon", "sample", "v_prediction"}) {
      for (const int n : {5, 7, 13, 50}) {
        all.push_back({.spacing = spacing, .prediction = prediction, .n = n});
        all.push_back(
            {.spacing = spacing, .prediction = prediction, .n = n, .clip = true, .final_one = false, .range = 0.7});
        all.push_back({.spacing = spacing, .prediction = prediction, .n = n, .clip = true, .threshold = true});
      }
    }
  }
  all.push_back({.n = 7, .offset = 1});
  all.push_back({.prediction = "v_prediction", .n = 7, .offset = 1, .final_one = false, .zero_snr = true});
  all.push_back({.spacing = "trailing", .prediction = "v_prediction", .n = 7, .zero_snr = true});
  return all;
}

}  // namespace

TEST_CASE("diffusers' DDIM step, written twice", "[diffusion]") {
  const Tensor x_T = tensor_of(kStart, {1, 1, 7}, DType::f64);
  for (Rules rules : all_rules()) {
    for (const double eta : {0.0, 0.6}) {
      rules.eta = eta;
      CAPTURE(rules.spacing, rules.prediction, rules.n, rules.offset, rules.clip, rules.threshold, rules.eta);
      const SchedulerConfig config = config_of(rules);
      DdimOptions options = config.ddim_options(rules.n, eta);
      options.noise = noise_tensor;
      const Tensor out = ddim_sample(network("fixed_small"), config.make_schedule(), x_T, options);
      check_close(out.to_vector(), ddim(rules, kStart, noise_value));
    }
  }
}

TEST_CASE("diffusers' ancestral step, written twice", "[diffusion]") {
  const Tensor x_T = tensor_of(kStart, {1, 1, 7}, DType::f64);
  for (Rules rules : all_rules()) {
    for (const char* variance : {"fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"}) {
      rules.variance = variance;
      CAPTURE(rules.spacing, rules.prediction, rules.n, rules.offset, rules.clip, rules.threshold, rules.variance);
      const SchedulerConfig config = config_of(rules);
      AncestralOptions options = config.ancestral_options(rules.n);
      options.noise = noise_tensor;
      const Tensor out = ancestral_sample(network(variance), config.make_schedule(), x_T, options);
      check_close(out.to_vector(), ddpm(rules, kStart, noise_value));
    }
  }
}

TEST_CASE("samplers: a network with a learned variance", "[diffusion]") {
  const Tensor x_T = tensor_of(kStart, {1, 1, 7}, DType::f64);
  const NoiseSchedule schedule = config_of({}).make_schedule();
  // DDIM has no use for the variance; the ancestral sampler with a fixed one has none either.
  const DdimOptions ddim{.timesteps = {.steps = 5}};
  CHECK(ddim_sample(network("learned"), schedule, x_T, ddim).to_vector() ==
        ddim_sample(network(""), schedule, x_T, ddim).to_vector());
  AncestralOptions ancestral{.timesteps = {.steps = 5}, .noise = noise_tensor};
  CHECK(ancestral_sample(network("learned"), schedule, x_T, ancestral).to_vector() ==
        ancestral_sample(network(""), schedule, x_T, ancestral).to_vector());
  ancestral.variance = VarianceType::learned_range;
  CHECK_THROWS_WITH(ancestral_sample(network(""), schedule, x_T, ancestral),
                    ContainsSubstring("learned_range needs a network with twice the channels"));
}
