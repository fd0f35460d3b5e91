#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "catch.h"
#include "diffusion/schedule/noise_schedule.h"
#include "diffusion/schedule/scheduler_config.h"
#include "diffusion/schedule/timesteps.h"
#include "tensor/io/safetensors.h"

using namespace sfumato;

namespace {

// Lecture indices, as in the papers: t = 1..T.
double A(const NoiseSchedule& schedule, int64_t t) { return schedule.alpha_cumprod(t - 1); }

auto digits(double value, double rtol) { return Approx(value).epsilon(rtol).margin(0); }

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

const std::filesystem::path pipelines = std::filesystem::path(SFUMATO_SOURCE_DIR) / "tests/golden/pipelines";

}  // namespace

TEST_CASE("noise schedule: the constants of Ho et al.'s linear schedule", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  CHECK(ho.num_timesteps() == 1000);
  CHECK(ho.beta(0) == digits(1e-4, 1e-15));
  CHECK(ho.beta(999) == digits(0.02, 1e-15));
  CHECK(A(ho, 0) == 1.0);
  CHECK(A(ho, 1) == digits(0.9999, 1e-14));
  CHECK(A(ho, 2) == digits(0.9997800921, 1e-10));
  CHECK(A(ho, 100) == digits(0.8970181457, 1e-10));
  CHECK(A(ho, 250) == digits(0.5240853738, 1e-10));
  CHECK(A(ho, 500) == digits(0.0785872429, 1e-9));
  CHECK(A(ho, 1000) == digits(4.0358297654e-5, 1e-10));
  CHECK(ho.posterior_variance(0) == 0);
  CHECK(ho.posterior_variance(1) == digits(5.4531876613e-5, 1e-10));
  CHECK(ho.snr(249) == digits(0.5240853738 / (1 - 0.5240853738), 1e-9));
}

TEST_CASE("noise schedule: cosine follows its closed form and is capped", "[diffusion]") {
  const NoiseSchedule cosine = cosine_schedule(1000);
  CHECK(cosine.beta(0) == digits(4.1284e-5, 2e-5));
  CHECK(A(cosine, 1000) == digits(2.4288e-9, 2e-5));
  CHECK(cosine.beta(999) == 0.999);
  const auto bar = [](double u) { return std::pow(std::cos((u + 0.008) / 1.008 * M_PI / 2), 2); };
  for (const int64_t t : {1, 250, 500, 998}) {  // the product telescopes: an index off by one would show
    CHECK(A(cosine, t) == digits(bar(static_cast<double>(t) / 1000) / bar(0), 1e-11));
  }
}

TEST_CASE("noise schedule: scaled linear has evenly spaced roots", "[diffusion]") {
  const NoiseSchedule scaled = scaled_linear_schedule(101, 0.0004, 0.0144);
  for (int64_t t = 0; t <= 100; ++t) {
    CHECK(std::sqrt(scaled.beta(t)) == digits(0.02 + 0.001 * static_cast<double>(t), 1e-13));
  }
}

TEST_CASE("noise schedule: a single timestep has the first beta", "[diffusion]") {
  CHECK(linear_schedule(1, 0.3, 0.7).beta(0) == 0.3);
  CHECK(linear_schedule(1, 0.3, 0.7, TablePrecision::f32).beta(0) == 0.3f);
}

TEST_CASE("noise schedule: f32 tables hold f32 numbers near the exact ones", "[diffusion]") {
  const NoiseSchedule exact = linear_schedule(1000);
  const NoiseSchedule rounded = linear_schedule(1000, 1e-4, 0.02, TablePrecision::f32);
  double product = 1;
  for (int64_t t = 0; t < 1000; ++t) {
    CHECK(rounded.alpha_cumprod(t) == static_cast<float>(rounded.alpha_cumprod(t)));
    CHECK(rounded.alpha_cumprod(t) == digits(exact.alpha_cumprod(t), 4e-5));
    product *= 1.0f - static_cast<float>(rounded.beta(t));  // a product accumulated in f32 would drift away
    CHECK(rounded.alpha_cumprod(t) == static_cast<float>(product));
    // The level is computed in f32, too: 1 - A has only a few digits at the start.
    CHECK(rounded.level(t).noise == std::sqrt(1.0f - static_cast<float>(rounded.alpha_cumprod(t))));
  }
}

TEST_CASE("noise schedule: f32 tables are diffusers' to the last bit", "[diffusion]") {
  const SafetensorsReader file(std::filesystem::path(SFUMATO_SOURCE_DIR) / "tests/golden/schedules.safetensors");
  for (const std::string name : {"linear", "scaled_linear", "squaredcos_cap_v2"}) {
    const NoiseSchedule schedule = make_schedule({.beta_schedule = name}, TablePrecision::f32);
    CHECK(schedule.name() == name);
    CHECK(schedule.betas() == file.read(name + "/betas").to_vector());
    CHECK(schedule.alphas_cumprod() == file.read(name + "/alphas_cumprod").to_vector());
  }
}

TEST_CASE("noise schedule: a re-spaced schedule keeps the levels of the grid", "[diffusion]") {
  const NoiseSchedule ho = linear_schedule(1000);
  const std::vector<int64_t> grid{0, 13, 500, 999};
  const NoiseSchedule few = ho.respaced(grid);
  REQUIRE(few.num_timesteps() == 4);
  for (size_t i = 0; i < grid.size(); ++i) {
    CHECK(few.alpha_cumprod(static_cast<int64_t>(i)) == digits(ho.alpha_cumprod(grid[i]), 1e-13));
  }
  CHECK_THROWS_AS(ho.respaced(std::vector<int64_t>{5, 5}), Error);
}

TEST_CASE("noise schedule: sigmoid follows the logistic function", "[diffusion]") {
  const NoiseSchedule schedule = make_schedule({.beta_schedule = "sigmoid"});
  for (const int64_t t : {0, 250, 999}) {
    const double x = -6 + 12 * static_cast<double>(t) / 999;
    CHECK(schedule.beta(t) == Approx(1e-4 + 0.0199 / (1 + std::exp(-x))).epsilon(1e-12));
  }
}

TEST_CASE("noise schedule: the harmonic one is a straight line to no signal", "[diffusion]") {
  const NoiseSchedule schedule = harmonic_schedule(50);
  for (int64_t t = 1; t <= 50; ++t) CHECK(A(schedule, t) == Approx((50.0 - static_cast<double>(t)) / 50).margin(1e-14));
  CHECK(A(schedule, 50) == 0);
  CHECK(schedule.level(49).signal == 0);
  CHECK(schedule.snr(49) == 0);
}

TEST_CASE("noise schedule: rescaled, it ends without signal and begins as it did", "[diffusion]") {
  for (const std::string name : {"linear", "scaled_linear", "squaredcos_cap_v2"}) {
    const NoiseSchedule plain = make_schedule({.beta_schedule = name});
    const NoiseSchedule rescaled = make_schedule({.beta_schedule = name, .rescale_betas_zero_snr = true});
    CHECK(A(rescaled, 1000) == 0);
    CHECK(A(rescaled, 1) == Approx(A(plain, 1)).epsilon(1e-12));
    // Roots are stretched linearly: the ratio of any two differences stays.
    const auto root = [](const NoiseSchedule& schedule, int64_t t) { return std::sqrt(A(schedule, t)); };
    const auto ratio = [&](const NoiseSchedule& s) {
      return (root(s, 700) - root(s, 300)) / (root(s, 1) - root(s, 1000));
    };
    CHECK(ratio(rescaled) == Approx(ratio(plain)).epsilon(1e-10));
  }
  CHECK_THROWS_AS(zero_terminal_snr(linear_schedule(1)), Error);
  CHECK_THROWS_AS(NoiseSchedule("", {1.0, 0.5}), Error);  // nothing can follow where no signal is left
}

TEST_CASE("noise schedule: errors name the rule and the value", "[diffusion]") {
  CHECK_THAT(error_of([] { linear_schedule(0); }), ContainsSubstring("1..1000000, got 0"));
  CHECK_THAT(error_of([] { linear_schedule(10, 0.1, 1.5); }), ContainsSubstring("(0, 1), got 1.0333"));
  CHECK_THAT(error_of([] { linear_schedule(10).beta(10); }), ContainsSubstring("timestep 10 is outside 0..9"));
  CHECK_THAT(error_of([] { linear_schedule(10).alpha_cumprod(-2); }), ContainsSubstring("timestep -2"));
  ScheduleConfig config;
  config.beta_schedule = "laplace";
  CHECK_THAT(error_of([&] { make_schedule(config); }), ContainsSubstring("unknown beta_schedule \"laplace\""));
}

TEST_CASE("timesteps: the three spacings", "[diffusion]") {
  using Steps = std::vector<int64_t>;
  const auto grid = [](int64_t T, int64_t steps, TimestepSpacing spacing, int64_t offset = 0) {
    return sampling_timesteps(T, {.steps = steps, .spacing = spacing, .steps_offset = offset});
  };
  CHECK(grid(1000, 3, TimestepSpacing::leading) == Steps{666, 333, 0});
  CHECK(grid(1000, 3, TimestepSpacing::leading, 1) == Steps{667, 334, 1});
  CHECK(grid(1000, 3, TimestepSpacing::trailing) == Steps{999, 666, 332});
  CHECK(grid(1000, 3, TimestepSpacing::linspace) == Steps{999, 500, 0});  // 499.5 rounds to even
  CHECK(grid(1000, 16, TimestepSpacing::trailing)[1] == 937);             // 937.5 rounds to even, then minus 1
  CHECK(grid(10, 1, TimestepSpacing::leading) == Steps{0});
  CHECK(grid(10, 1, TimestepSpacing::trailing) == Steps{9});
  CHECK(grid(10, 1, TimestepSpacing::linspace) == Steps{0});  // as numpy.linspace(0, 9, 1)
  for (const auto spacing : {TimestepSpacing::leading, TimestepSpacing::trailing, TimestepSpacing::linspace}) {
    CHECK(grid(4, 0, spacing) == Steps{3, 2, 1, 0});  // 0 means all
    for (int64_t steps = 1; steps <= 100; ++steps) {  // floating-point strides must not drop or repeat a timestep
      const Steps found = grid(100, steps, spacing);
      CHECK(static_cast<int64_t>(found.size()) == steps);
      CHECK(std::adjacent_find(found.begin(), found.end(), std::less_equal<>()) == found.end());
    }
  }
  CHECK_THAT(error_of([&] { grid(10, 11, TimestepSpacing::leading); }), ContainsSubstring("1..10"));
  CHECK_THAT(error_of([&] { grid(10, 10, TimestepSpacing::leading, 1); }), ContainsSubstring("steps_offset 1"));
}

TEST_CASE("timesteps: the two rules for the step's target differ unless the steps divide T", "[diffusion]") {
  using Grid = std::vector<GridStep>;
  const auto grid = [](int64_t T, int64_t steps, TimestepSpacing spacing, PreviousStep rule) {
    return sampling_grid(T, {.steps = steps, .spacing = spacing}, rule);
  };
  const auto leading = TimestepSpacing::leading, linspace = TimestepSpacing::linspace;
  CHECK(grid(9, 3, leading, PreviousStep::next_grid_point) == Grid{{6, 3}, {3, 0}, {0, -1}});
  CHECK(grid(9, 3, leading, PreviousStep::fixed_stride) == Grid{{6, 3}, {3, 0}, {0, -1}});
  CHECK(grid(9, 3, linspace, PreviousStep::next_grid_point) == Grid{{8, 4}, {4, 0}, {0, -1}});
  CHECK(grid(9, 3, linspace, PreviousStep::fixed_stride) == Grid{{8, 5}, {4, 1}, {0, -1}});
}

TEST_CASE("scheduler config: diffusers' files are read and written back byte for byte", "[diffusion]") {
  for (const char* pipeline : {"ddpm", "ddim", "dpmsolver"}) {
    const auto path = pipelines / pipeline / "scheduler/scheduler_config.json";
    CAPTURE(path.string());
    const SchedulerConfig config = load_scheduler_config(path);
    CHECK(config.schedule.beta_end == 0.02);
    std::string text = text_of(path);
    CHECK(to_json(config) == text);
    // Every field is really read: another value comes back as that value.
    for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
             {"\"beta_end\": 0.02", "\"beta_end\": 0.012"},
             {"\"beta_schedule\": \"linear\"", "\"beta_schedule\": \"scaled_linear\""},
             {"\"beta_start\": 0.0001", "\"beta_start\": 8.5e-05"},
             {"\"clip_sample\": true", "\"clip_sample\": false"},
             {"\"clip_sample_range\": 1.0", "\"clip_sample_range\": 2.5"},
             {"\"dynamic_thresholding_ratio\": 0.995", "\"dynamic_thresholding_ratio\": 0.9"},
             {"\"num_train_timesteps\": 1000", "\"num_train_timesteps\": 200"},
             {"\"prediction_type\": \"epsilon\"", "\"prediction_type\": \"v_prediction\""},
             {"\"sample_max_value\": 1.0", "\"sample_max_value\": 3.0"},
             {"\"steps_offset\": 0", "\"steps_offset\": 1"},
             {"\"thresholding\": false", "\"thresholding\": true"},
             {"\"rescale_betas_zero_snr\": false", "\"rescale_betas_zero_snr\": true"},
             {"\"algorithm_type\": \"dpmsolver++\"", "\"algorithm_type\": \"sde-dpmsolver\""},
             {"\"euler_at_final\": false", "\"euler_at_final\": true"},
             {"\"final_sigmas_type\": \"zero\"", "\"final_sigmas_type\": \"sigma_min\""},
             {"\"flow_shift\": 1.0", "\"flow_shift\": 3.0"},
             {"\"lambda_min_clipped\": -Infinity", "\"lambda_min_clipped\": -5.1"},
             {"\"lower_order_final\": true", "\"lower_order_final\": false"},
             {"\"solver_order\": 2", "\"solver_order\": 3"},
             {"\"solver_type\": \"midpoint\"", "\"solver_type\": \"heun\""},
             {"\"time_shift_type\": \"exponential\"", "\"time_shift_type\": \"linear\""},
             {"\"variance_type\": null", "\"variance_type\": \"learned_range\""},
             {"\"timestep_spacing\": \"linspace\"", "\"timestep_spacing\": \"trailing\""},
             {"\"timestep_spacing\": \"leading\"", "\"timestep_spacing\": \"trailing\""},
             {"\"set_alpha_to_one\": true", "\"set_alpha_to_one\": false"},
             {"\"variance_type\": \"fixed_small\"", "\"variance_type\": \"fixed_large\""}}) {
      if (const auto at = text.find(from); at != text.npos) text.replace(at, from.size(), to);
    }
    CHECK(to_json(parse_scheduler_config(text)) == text);
  }
}

TEST_CASE("scheduler config: the multistep solver's file gives its schedule", "[diffusion]") {
  const auto config = load_scheduler_config(pipelines / "dpmsolver/scheduler/scheduler_config.json");
  CHECK(config.class_name == "DPMSolverMultistepScheduler");
  CHECK(config.timestep_spacing == TimestepSpacing::linspace);
  CHECK_FALSE(config.clip_sample);
  CHECK(config.multistep.solver_order == 2);
  const auto parse = [](const std::string& fields) {
    return parse_scheduler_config("{\"_class_name\": \"DPMSolverMultistepScheduler\"" + fields + "}", "here.json");
  };
  // What a solver made from another scheduler keeps of it, and diffusers gives back to the next one.
  CHECK(parse(", \"clip_sample\": true").clip_sample);
  // What it does not have, or has noted as left out, is for another class's sampler to fill in.
  CHECK_FALSE(parse("").clip_sample_given);
  CHECK_FALSE(parse("").timestep_spacing_given);
  CHECK(parse(", \"timestep_spacing\": \"linspace\"").timestep_spacing_given);
  const auto noted = parse(", \"clip_sample\": true, \"_use_default_values\": [\"clip_sample\", \"sample_max_value\"]");
  CHECK_FALSE(noted.clip_sample_given);
  CHECK(parse(", \"variance_type\": \"fixed_large\"").variance_type == VarianceType::fixed_large);
  for (const auto& [field, value] :
       std::vector<std::pair<std::string, std::string>>{{"use_karras_sigmas", "true"},
                                                        {"use_lu_lambdas", "true"},
                                                        {"use_flow_sigmas", "true"},
                                                        {"use_exponential_sigmas", "true"},
                                                        {"use_beta_sigmas", "true"},
                                                        {"use_dynamic_shifting", "true"},
                                                        {"algorithm_type", "\"unipc\""},
                                                        {"solver_order", "4"},
                                                        {"solver_type", "\"bh2\""},
                                                        {"final_sigmas_type", "\"one\""},
                                                        {"time_shift_type", "\"cubic\""},
                                                        {"beta_schedule", "\"sigmoid\""}}) {
    CAPTURE(field);
    CHECK_THAT(error_of([&, &field = field, &value = value] { parse(", \"" + field + "\": " + value); }),
               ContainsSubstring("here.json: field " + field + " has the value " + value));
  }
}

TEST_CASE("scheduler config: what is missing has its default, what is not supported is refused by name",
          "[diffusion]") {
  const auto parse = [](const std::string& fields) {
    return parse_scheduler_config("{\"_class_name\": \"DDPMScheduler\"" + fields + "}", "here.json");
  };
  CHECK(parse("").clip_sample);
  CHECK(parse(", \"timestep_values\": null").variance_type == VarianceType::fixed_small);
  CHECK(parse(", \"predict_epsilon\": false").prediction_type == PredictionType::sample);
  CHECK(parse(", \"trained_betas\": [0.1, 0.2], \"num_train_timesteps\": 2").make_schedule().beta(1) == 0.2);
  const std::vector<std::pair<std::string, std::string>> refused{
      {", \"thresholding\": 1", "here.json: field thresholding has the value 1, which is not of its type"},
      {", \"dynamic_thresholding_ratio\": 1.5", "dynamic_thresholding_ratio must lie in [0, 1], got 1.5"},
      {", \"sample_max_value\": 0", "sample_max_value must be positive"},
      {", \"variance_type\": \"large\"", "unknown value \"large\""},
      {", \"prediction_type\": \"flow\"", "prediction_type"},
      {", \"timestep_spacing\": \"karras\"", "timestep_spacing"},
      {", \"beta_schedule\": \"laplace\"", "laplace"},
      {", \"set_alpha_to_one\": true", "unknown field set_alpha_to_one"},
      {", \"gamma\": 1", "unknown field gamma (value 1)"},
      {", \"beta_end\": \"0.02\"", "field beta_end has the value \"0.02\", which is not of its type"},
      {", \"num_train_timesteps\": 1000000000000000", "1..1000000"},
      {", \"prediction_type\": \"\"", "prediction_type"},
      {", \"clip_sample\": 1", "clip_sample"},
      {", \"steps_offset\": 0.5", "steps_offset"},
      {", \"trained_betas\": [0.1]", "trained_betas has 1 entries"},
      {", \"beta_end\": 1.5", "(0, 1)"},
      {", \"beta_end\": Infinity", "beta_end"},
      {"]", "here.json"}};
  for (const auto& [fields, message] : refused) {
    CAPTURE(fields);
    CHECK_THAT(error_of([&] { parse(fields); }), ContainsSubstring(message));
    CHECK_THROWS_AS(parse(fields), FormatError);
  }
  CHECK_THAT(error_of([] { parse_scheduler_config("{\"_class_name\": \"PNDMScheduler\"}"); }),
             ContainsSubstring("PNDMScheduler"));
  CHECK_THROWS_AS(load_scheduler_config("/no/such/file.json"), IoError);
}

TEST_CASE("noise schedule: sigmoid, and zero terminal signal", "[diffusion]") {
  const NoiseSchedule sigmoid = sigmoid_schedule(3, 0.1, 0.3);
  CHECK(sigmoid.beta(0) == digits(0.1 + 0.2 / (1 + std::exp(6.0)), 1e-13));
  CHECK(sigmoid.beta(1) == digits(0.2, 1e-13));
  CHECK(sigmoid.beta(2) == digits(0.1 + 0.2 / (1 + std::exp(-6.0)), 1e-13));
  for (const auto precision : {TablePrecision::f64, TablePrecision::f32}) {
    const double bound = precision == TablePrecision::f64 ? 1e-12 : 1e-4;
    const NoiseSchedule plain = linear_schedule(100, 1e-3, 0.05, precision), zero = zero_terminal_snr(plain);
    CHECK(zero.alpha_cumprod(0) == digits(plain.alpha_cumprod(0), bound));
    CHECK(zero.alpha_cumprod(99) == 0);
    CHECK(zero.beta(99) == 1);
    // Lin et al. 2023: the roots are shifted and scaled, so ratios of their differences stay.
    const auto root = [](const NoiseSchedule& s, int64_t t) { return std::sqrt(s.alpha_cumprod(t)); };
    const auto ratio = [&](const NoiseSchedule& s) { return (root(s, 20) - root(s, 60)) / (root(s, 0) - root(s, 99)); };
    CHECK(ratio(zero) == digits(ratio(plain), bound));
  }
  CHECK_THROWS_AS(NoiseSchedule("two ones", {1.0, 1.0}), Error);
  ScheduleConfig config;
  config.rescale_betas_zero_snr = true;
  CHECK(make_schedule(config).alpha_cumprod(999) == 0);
}
