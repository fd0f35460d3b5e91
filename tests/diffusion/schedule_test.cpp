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

TEST_CASE("noise schedule: errors name the rule and the value", "[diffusion]") {
  CHECK_THAT(error_of([] { linear_schedule(0); }), ContainsSubstring("1..1000000, got 0"));
  CHECK_THAT(error_of([] { linear_schedule(10, 0.1, 1.5); }), ContainsSubstring("(0, 1), got 1.0333"));
  CHECK_THAT(error_of([] { linear_schedule(10).beta(10); }), ContainsSubstring("timestep 10 is outside 0..9"));
  CHECK_THAT(error_of([] { linear_schedule(10).alpha_cumprod(-2); }), ContainsSubstring("timestep -2"));
  ScheduleConfig config;
  config.beta_schedule = "sigmoid";
  CHECK_THAT(error_of([&] { make_schedule(config); }), ContainsSubstring("unknown beta_schedule \"sigmoid\""));
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
  for (const char* pipeline : {"ddpm", "ddim"}) {
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
  CHECK_THAT(error_of([&] { to_json(config); }), ContainsSubstring("DPMSolverMultistepScheduler"));
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
      {", \"thresholding\": true", "here.json: field thresholding has the value true, which is not supported"},
      {", \"rescale_betas_zero_snr\": true", "rescale_betas_zero_snr"},
      {", \"variance_type\": \"learned_range\"", "\"learned_range\" is not supported"},
      {", \"prediction_type\": \"flow\"", "prediction_type"},
      {", \"timestep_spacing\": \"karras\"", "timestep_spacing"},
      {", \"beta_schedule\": \"sigmoid\"", "sigmoid"},
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
