// diffusers' multistep solver, written a second time: plain loops over numbers in its own variables (alpha, sigma,
// lambda of the variance-preserving process), sharing nothing with the solvers. A folder whose scheduler it is must be
// sampled as it would be.
#include <algorithm>
#include <cmath>

#include "catch.h"
#include "diffusion/samplers/table.h"
#include "diffusion/schedule/scheduler_config.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

constexpr int T = 60;

double predict(double x, int t) { return 0.5 * x + 0.3 * std::sin(3 * x) + 0.002 * t; }

SchedulerConfig config_of(const MultistepConfig& multistep, TimestepSpacing spacing, PredictionType type) {
  SchedulerConfig config;
  config.class_name = "DPMSolverMultistepScheduler";
  config.schedule = {.num_train_timesteps = T, .beta_start = 0.001, .beta_end = 0.2};
  config.clip_sample = false;
  config.timestep_spacing = spacing;
  config.prediction_type = type;
  config.multistep = multistep;
  return config;
}

// Of the first `last` timesteps.
std::vector<int> times(TimestepSpacing spacing, int n, int last) {
  std::vector<int> out;
  for (int i = 0; i < n; ++i) {
    switch (spacing) {
      case TimestepSpacing::linspace:
        out.push_back(static_cast<int>(std::nearbyint((last - 1.0) * (n - i) / n)));
        break;
      case TimestepSpacing::leading: out.push_back((n - i) * (last / (n + 1))); break;
      case TimestepSpacing::trailing:
        out.push_back(static_cast<int>(std::nearbyint(T - i * (static_cast<double>(T) / n))) - 1);
        break;
    }
  }
  return out;
}

// One number through n steps.
double solve(const SchedulerConfig& config, int n, double x) {
  const MultistepConfig& rules = config.multistep;
  const bool zero = rules.final_sigmas_type == "zero", line = rules.solver_type == "heun";
  std::vector<double> level, alpha, sigma, lambda, x0;
  int last = T;  // what is noisier than lambda_min_clipped is left out
  for (int t = T - 1; std::log(config.make_schedule().snr(t)) / 2 < rules.lambda_min_clipped; --t) --last;
  const std::vector<int> grid = times(config.timestep_spacing, n, last);
  for (const int t : grid) {
    level.push_back(config.make_schedule().alpha_cumprod(t));
  }
  level.push_back(zero ? 1 : config.make_schedule().alpha_cumprod(0));
  for (const double a : level) {
    alpha.push_back(std::sqrt(a));
    sigma.push_back(std::sqrt(1 - a));
    lambda.push_back(std::log(alpha.back() / sigma.back()));  // infinite at the end, if it is clean
  }
  int known = 0;
  for (int step = 0; step < n; ++step) {
    const auto i = static_cast<size_t>(step);
    const double m = predict(x, grid[i]);
    x0.push_back(config.prediction_type == PredictionType::epsilon  ? (x - sigma[i] * m) / alpha[i]
                 : config.prediction_type == PredictionType::sample ? m
                                                                    : alpha[i] * x - sigma[i] * m);
    const bool few = rules.lower_order_final && n < 15;
    const bool first = step == n - 1 && (zero || rules.euler_at_final || few);
    const bool second = step == n - 2 && few;
    const double h = lambda[i + 1] - lambda[i], e = std::exp(-h) - 1;
    x = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * e * x0[i];
    if (rules.solver_order > 1 && known > 0 && !first) {
      const double r0 = (lambda[i] - lambda[i - 1]) / h, newer = (x0[i] - x0[i - 1]) / r0;
      if (rules.solver_order == 2 || known == 1 || second) {
        x += line ? alpha[i + 1] * (e / h + 1) * newer : -0.5 * alpha[i + 1] * e * newer;
      } else {
        const double r1 = (lambda[i - 1] - lambda[i - 2]) / h, older = (x0[i - 1] - x0[i - 2]) / r1;
        const double d1 = newer + r0 / (r0 + r1) * (newer - older), d2 = (newer - older) / (r0 + r1);
        x += alpha[i + 1] * (e / h + 1) * d1 - alpha[i + 1] * ((e + h) / (h * h) - 0.5) * d2;
      }
    }
    ++known;
  }
  return x;
}

Tensor network(const Tensor& x, const Tensor& t) {
  std::vector<double> out;
  for (const double value : x.to_vector()) out.push_back(predict(value, static_cast<int>(t.to_vector()[0])));
  return tensor_of(out, x.shape(), x.dtype());
}

void check_solver(const SchedulerConfig& config, int n) {
  const MultistepConfig& rules = config.multistep;
  CAPTURE(n, rules.solver_order, rules.solver_type, rules.final_sigmas_type, rules.lower_order_final,
          rules.euler_at_final, name_of(config.timestep_spacing), name_of(config.prediction_type));
  const std::vector<double> starts{-2.1, -0.4, 0.7, 1.3};
  const Tensor out = multistep_solver().run(network, config.make_schedule(), tensor_of(starts, {4, 1}, DType::f64),
                                            {.steps = n,
                                             .spacing = std::string(name_of(config.timestep_spacing)),
                                             .prediction = config.prediction_options(),
                                             .multistep = &config.multistep});
  for (size_t i = 0; i < starts.size(); ++i) {
    CHECK(out.to_vector()[i] == Approx(solve(config, n, starts[i])).epsilon(1e-9).margin(1e-9));
  }
}

}  // namespace

TEST_CASE("diffusers' multistep solver, written twice", "[diffusion]") {
  for (const int64_t order : {1, 2, 3}) {
    for (const char* type : {"midpoint", "heun"}) {
      for (const char* end : {"zero", "sigma_min"}) {
        for (const bool lower : {false, true}) {
          for (const bool euler : {false, true}) {
            const MultistepConfig rules{.solver_order = order,
                                        .solver_type = type,
                                        .lower_order_final = lower,
                                        .euler_at_final = euler,
                                        .final_sigmas_type = end};
            for (const int n : {1, 2, 3, 7, 14, 15, 20}) {
              check_solver(config_of(rules, TimestepSpacing::linspace, PredictionType::epsilon), n);
            }
          }
        }
      }
    }
  }
  for (const auto spacing : {TimestepSpacing::leading, TimestepSpacing::trailing}) {
    for (const auto type : {PredictionType::epsilon, PredictionType::sample, PredictionType::v_prediction}) {
      for (const int n : {1, 7, 13}) check_solver(config_of({.solver_order = 3}, spacing, type), n);
    }
  }
  for (const auto spacing : {TimestepSpacing::leading, TimestepSpacing::linspace}) {
    check_solver(config_of({.lambda_min_clipped = -1}, spacing, PredictionType::epsilon), 7);
  }
}

TEST_CASE("multistep solver: what is not built is refused by name", "[diffusion]") {
  const auto refusal = [](const char* algorithm) {
    const MultistepConfig rules{.algorithm_type = algorithm};
    return [rules] {
      multistep_solver().run(network, linear_schedule(T), tensor_of({0.1}, {1, 1}), {.steps = 2, .multistep = &rules});
    };
  };
  for (const char* algorithm : {"dpmsolver", "sde-dpmsolver", "sde-dpmsolver++"}) {
    CHECK_THROWS_WITH(refusal(algorithm)(), ContainsSubstring(std::string("algorithm_type '") + algorithm));
  }
  const auto clipping_at = [](double lambda) {
    const MultistepConfig rules{.lambda_min_clipped = lambda};
    multistep_solver().run(network, linear_schedule(T), tensor_of({0.1}, {1, 1}),
                           {.steps = 2, .spacing = "trailing", .multistep = &rules});
  };
  CHECK_NOTHROW(clipping_at(-20));
  CHECK_THROWS_WITH(clipping_at(1), ContainsSubstring("lambda_min_clipped 1") && ContainsSubstring("trailing"));
  CHECK_THROWS_WITH(clipping_at(20), ContainsSubstring("leaves no timestep"));
}
