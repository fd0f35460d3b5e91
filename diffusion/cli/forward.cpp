// `sfumato forward`: pictures of the forward process, which turns data into noise.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/output.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/data/open.h"
#include "diffusion/plot/densities.h"
#include "diffusion/plot/strip.h"
#include "diffusion/process/trajectory.h"
#include "diffusion/train/config.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato::cli {
namespace {

constexpr int64_t kDefaultImages = 8, kDefaultPoints = 2000, kDefaultTrajectories = 8;
constexpr int64_t kDensityPlaces = 1001;  // in a .safetensors

struct ForwardArguments {
  std::string data, density, out;
  std::optional<int64_t> num;
  int64_t first = 0, image_size = 0, seed = 0;
  std::string split = "train", view = "both";
  bool stepwise = false;
  double scale = 2;
  std::vector<int64_t> times;
  std::string preset, config_file;
  std::optional<std::string> schedule;
  std::optional<int64_t> num_timesteps;
  std::optional<double> beta_start, beta_end;
};

// A configuration's schedule or Ho et al.'s, changed by the flags.
ScheduleConfig resolve_schedule(const ForwardArguments& arguments) {
  ScheduleConfig config;
  if (!arguments.preset.empty()) {
    config =
        TrainConfig::from_toml(preset_text(arguments.preset), "preset " + arguments.preset).scheduler_config().schedule;
  } else if (!arguments.config_file.empty()) {
    config = TrainConfig::from_toml(read_file(arguments.config_file, kMaxConfigBytes), arguments.config_file)
                 .scheduler_config()
                 .schedule;
  }
  if (arguments.schedule && *arguments.schedule != config.beta_schedule) {
    config.beta_schedule = *arguments.schedule;
    if (config.beta_schedule == "scaled_linear") {  // the ends of its paper, not those of another schedule
      config.beta_start = 0.00085;
      config.beta_end = 0.012;
    }
  }
  config.num_train_timesteps = arguments.num_timesteps.value_or(config.num_train_timesteps);
  config.beta_start = arguments.beta_start.value_or(config.beta_start);
  config.beta_end = arguments.beta_end.value_or(config.beta_end);
  return config;
}

plot::DensityView view_of(const std::string& name) {
  return name == "curves" ? plot::DensityView::curves
         : name == "map"  ? plot::DensityView::map
                          : plot::DensityView::both;
}

// Shares of T, made times: rounded, each once.
std::vector<int64_t> times_of(std::initializer_list<double> shares, int64_t last) {
  std::vector<int64_t> times;
  for (const double share : shares) {
    const int64_t t = std::lround(share * static_cast<double>(last));
    if (times.empty() || t > times.back()) {
      times.push_back(t);
    }
  }
  return times;
}

// A share of 1 with two digits that count: "1", "0.97", "0.0070", "4×10⁻⁵".
std::string short_share(double value) {
  if (value >= 0.9995 || value <= 0) {
    return fmt::format("{:.0f}", value);
  }
  const int zeros = static_cast<int>(std::floor(-std::log10(value)));
  if (zeros <= 2) {
    return fmt::format("{:.{}f}", value, std::max(zeros, 0) + (value >= 0.995 ? 3 : 2));
  }
  constexpr const char* kSuperscripts[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  const std::string text = fmt::format("{:.0e}", value);  // "4e-05"
  std::string power = "⁻";
  for (const char digit : std::to_string(std::stoi(text.substr(text.find('-') + 1)))) {
    power += kSuperscripts[digit - '0'];
  }
  return text.substr(0, text.find('e')) + "×10" + power;
}

class ForwardCommand {
 public:
  ForwardCommand(const ForwardArguments& arguments, const Common& common)
      : arguments_(arguments),
        common_(common),
        config_(resolve_schedule(arguments)),
        schedule_(make_schedule(config_)) {}

  int run() {
    for (const int64_t t : arguments_.times) {
      if (t < 0 || t > schedule_.num_timesteps()) {
        std::fputs(fmt::format("sfumato: --timesteps: t = {} is outside 0..{}\n", t, schedule_.num_timesteps()).c_str(),
                   stderr);
        return kUsage;
      }
    }
    if (!arguments_.out.empty()) {
      require_writable_folder(arguments_.out);
    }
    const RandomScope scope(
        {.seed = static_cast<uint64_t>(arguments_.seed), .step = 0, .first_sample = arguments_.first});
    arguments_.density.empty() ? show_data() : show_density();
    report();
    return kOk;
  }

 private:
  bool as_tensors() const { return arguments_.out.ends_with(".safetensors"); }

  void choose_times(std::initializer_list<double> default_shares) {
    times_ = arguments_.times;
    std::sort(times_.begin(), times_.end());
    times_.erase(std::unique(times_.begin(), times_.end()), times_.end());
    if (times_.empty()) {
      times_ = times_of(default_shares, schedule_.num_timesteps());
    }
  }

  Tensor time_tensor() const {
    Tensor t = Tensor::empty({static_cast<int64_t>(times_.size())}, DType::i64);
    std::copy(times_.begin(), times_.end(), t.mutable_data<int64_t>());
    return t;
  }

  // Samples first..first + num - 1 of the data, f32 (num, ...).
  Tensor read_data() {
    const auto data =
        open_data(arguments_.data, {.split = arguments_.split == "test" ? DataSplit::test : DataSplit::train,
                                    .image_size = arguments_.image_size});
    const Shape sample = data->sample_shape();
    const int64_t num = arguments_.num.value_or(
        std::min(sample.rank() == 1 ? kDefaultPoints : kDefaultImages, data->size() - arguments_.first));
    check(num > 0 && num <= data->size() - arguments_.first, "--num ", num, " from --first ", arguments_.first,
          " on: '", arguments_.data, "' has ", data->size(), " samples");
    std::vector<int64_t> sizes{num};
    sizes.insert(sizes.end(), sample.begin(), sample.end());
    Tensor x0 = Tensor::empty(Shape(sizes));
    float* out = x0.mutable_data<float>();
    for (int64_t i = 0; i < num; ++i) {
      data->read(arguments_.first + i, out + i * sample.numel(), SampleRandom(0, arguments_.first + i));
    }
    return x0;
  }

  void show_data() {
    const Tensor x0 = read_data();
    const bool points = x0.dim() == 2;
    what_ = fmt::format("{} {}", x0.size(0), points ? "points" : "images");
    if (points) {
      choose_times({0, 0.05, 0.1, 0.2, 0.4, 1});
    } else {
      choose_times({0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1});
    }
    if (arguments_.out.empty()) {
      return;
    }
    const Tensor x_t = noising_trajectory(schedule_, x0, times_,
                                          arguments_.stepwise ? NoisingMode::stepwise : NoisingMode::closed_form);
    if (as_tensors()) {
      save_safetensors(arguments_.out, {{"x_t", x_t}, {"t", time_tensor()}});
    } else if (points) {
      draw_points(x_t);
    } else {
      plot::save_strip(arguments_.out, x_t, strip_head());
    }
  }

  void draw_points(const Tensor& x_t) const {
    std::vector<std::pair<std::string, Tensor>> sets;
    for (size_t k = 0; k < times_.size(); ++k) {
      sets.emplace_back(fmt::format("t = {}", times_[k]), select(x_t, 0, static_cast<int64_t>(k)));
    }
    constexpr int kPanelsPerRow = 6;
    plot::save_figure(arguments_.out, plot::scatter_figure("", sets, {.columns = kPanelsPerRow, .one_color = true}),
                      arguments_.scale);
  }

  std::vector<plot::StripLine> strip_head() const {
    std::vector<plot::StripLine> head{{"t", {}}, {"ᾱₜ", {}}};
    for (const int64_t t : times_) {
      head[0].entries.push_back(fmt::format("{}", t));
      head[1].entries.push_back(short_share(schedule_.alpha_cumprod(t - 1)));
    }
    return head;
  }

  void show_density() {
    std::optional<GaussianMixture> parsed;
    as_usage_error([&] { parsed = GaussianMixture::parse(arguments_.density); });
    const GaussianMixture& mixture = *parsed;
    const int64_t trajectories = arguments_.num.value_or(kDefaultTrajectories);
    what_ = "densities";
    choose_times({0, 0.05, 0.1, 0.2, 0.4, 1});
    if (arguments_.out.empty()) {
      return;
    }
    if (as_tensors()) {
      const std::vector<double> x = plot::density_places(mixture, kDensityPlaces);
      save_safetensors(arguments_.out, {{"x", tensor_of(x, {kDensityPlaces}, DType::f64)},
                                        {"density", plot::diffused_densities(mixture, schedule_, times_, x)},
                                        {"t", time_tensor()}});
    } else {
      const plot::DensityOptions options{.view = view_of(arguments_.view), .trajectories = trajectories};
      plot::save_figure(arguments_.out, plot::density_figure(mixture, schedule_, times_, options), arguments_.scale);
    }
  }

  void report() const {
    nlohmann::json json{{"beta_schedule", config_.beta_schedule},
                        {"num_train_timesteps", schedule_.num_timesteps()},
                        {"t", times_},
                        {"alphas_cumprod", nlohmann::json::array()},
                        {"snr", nlohmann::json::array()}};
    for (const int64_t t : times_) {
      json["alphas_cumprod"].push_back(schedule_.alpha_cumprod(t - 1));
      json["snr"].push_back(t == 0 ? nlohmann::json() : nlohmann::json(schedule_.snr(t - 1)));  // t = 0: infinite
    }
    if (!arguments_.out.empty()) {
      json["out"] = arguments_.out;
      std::fputs(fmt::format("{}: {} at t = {} of T = {}, {} schedule\n", arguments_.out, what_,
                             fmt::join(times_, ", "), schedule_.num_timesteps(), config_.beta_schedule)
                     .c_str(),
                 stderr);
    }
    if (common_.json) {
      std::puts(json.dump().c_str());
    }
  }

  const ForwardArguments& arguments_;
  const Common& common_;
  ScheduleConfig config_;
  NoiseSchedule schedule_;
  std::vector<int64_t> times_;
  std::string what_;
};

void add_input_options(CLI::App& verb, ForwardArguments& arguments) {
  auto* input = verb.add_option_group("Input", "Data, or a density on the line");
  input
      ->add_option("--data", arguments.data, fmt::format("A folder of images, or {}", fmt::join(dataset_names(), ", ")))
      ->type_name("NAME|DIR")
      ->check(suggestions(dataset_names()));
  auto* density = input
                      ->add_option("--density", arguments.density,
                                   "Mixture of Gaussians \"weight:mean:std,...\": draws q(x_t) instead of data")
                      ->type_name("MIXTURE");
  input->require_option(1);
  verb.add_option("--num", arguments.num,
                  "How many images (default 8), points (2000) or trajectories over densities (8)")
      ->check(whole_number(0));
  verb.add_option("--first", arguments.first, "Index of the first image")->check(whole_number(0));
  verb.add_option("--split", arguments.split, "train or test")->check(CLI::IsMember({"train", "test"}));
  verb.add_option("--image-size", arguments.image_size, "Height and width; needed for folders of image files")
      ->check(whole_number(1));
  verb.add_flag("--stepwise", arguments.stepwise,
                "Step by step with new noise each (the Markov chain), not in one go with one noise for all t")
      ->excludes(density);
  verb.add_option("--view", arguments.view, "Of densities: curves, map (over t and x) or both")
      ->check(CLI::IsMember({"curves", "map", "both"}));
  verb.add_option("--scale", arguments.scale, "Of a PNG of points or densities: pixels per 1/96 inch (default 2)")
      ->check(real_number(0.5, 10));
  verb.add_option("--seed", arguments.seed, "Row i depends on the seed and the image's index alone")
      ->check(whole_number(0));
}

void add_schedule_options(CLI::App& verb, ForwardArguments& arguments) {
  verb.add_option("--timesteps", arguments.times,
                  "Times to show, 0..T, as 0,100,1000: t = 0 is the data, t = T all noise (default: about ten)")
      ->type_name("T,T,...")
      ->delimiter(',');
  const std::vector<std::string_view> names = preset_names();
  const std::vector<std::string> presets(names.begin(), names.end());
  auto* preset = verb.add_option("--preset", arguments.preset, "Use the schedule of a preset")
                     ->type_name("NAME")
                     ->check(suggestions(presets));
  verb.add_option("--config", arguments.config_file, "Use the schedule of a configuration (TOML)")
      ->type_name("FILE")
      ->excludes(preset);
  verb.add_option("--schedule", arguments.schedule, "linear (default), scaled_linear or squaredcos_cap_v2")
      ->check(CLI::IsMember({"linear", "scaled_linear", "squaredcos_cap_v2"}));
  verb.add_option("--T", arguments.num_timesteps, "Number of steps (default 1000)")->check(whole_number(1, 1000000));
  const CLI::Validator beta = real_number(1e-12, 0.999999);  // they lie inside (0, 1)
  verb.add_option("--beta-start", arguments.beta_start, "beta of the first step, inside (0, 1)")->check(beta);
  verb.add_option("--beta-end", arguments.beta_end, "beta of the last step, inside (0, 1)")->check(beta);
}

}  // namespace

Verb add_forward(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<ForwardArguments>();
  CLI::App* verb = app.add_subcommand("forward", "Draw how the forward process turns data into noise");
  add_input_options(*verb, *arguments);
  add_schedule_options(*verb, *arguments);
  auto* out = verb->add_option("--out", arguments->out,
                               "FILE.png or FILE.svg for a picture, FILE.safetensors for the numbers: `x_t` (times, N, "
                               "...) and `t`, or `density` (times, places), `x` and `t`")
                  ->type_name("FILE")
                  ->check(ends_in({".png", ".svg", ".safetensors"}));
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato forward --data fashion-mnist --num 6 --out strip.png
  sfumato forward --data fashion-mnist --timesteps 0,10,100,1000 --stepwise --out x_t.safetensors
  sfumato forward --data swissroll --schedule squaredcos_cap_v2 --out roll.svg
  sfumato forward --density "0.3:-2:0.5,0.7:1:0.3" --out densities.svg
  sfumato forward --density 1:0:1 --timesteps 1,10,100 --json

Times are the lectures': t = 0 is the data, t = 1..T the steps. --json prints alphas_cumprod and snr at each t.)");
  return [arguments, out, &common] {
    apply(common);
    if (out->count() == 0 && !common.json) {
      std::fputs("sfumato: forward needs --out FILE, or --json for the numbers of the schedule alone\n", stderr);
      return static_cast<int>(kUsage);
    }
    return ForwardCommand(*arguments, common).run();
  };
}

}  // namespace sfumato::cli
