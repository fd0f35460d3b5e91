// `sfumato sample`: images from a model folder.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/output.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/pipeline/picture.h"
#include "diffusion/pipeline/sample.h"
#include "diffusion/train/progress.h"
#include "diffusion/train/run_directory.h"
#include "tensor/io/safetensors.h"
#include "tensor/parallel.h"

namespace sfumato::cli {
namespace {

struct SampleArguments {
  std::string model, out, noise, spacing, prediction_type, variance_type;
  std::optional<int64_t> num;
  std::optional<bool> clip_sample;
  SampleOptions options;
};

void override_scheduler(const SampleArguments& arguments, SchedulerConfig& scheduler) {
  if (!arguments.spacing.empty()) {
    scheduler.timestep_spacing = parse_timestep_spacing(arguments.spacing);
  }
  if (!arguments.prediction_type.empty()) {
    scheduler.prediction_type = parse_prediction_type(arguments.prediction_type);
  }
  if (!arguments.variance_type.empty()) {
    scheduler.variance_type = parse_variance_type(arguments.variance_type);
  }
  scheduler.clip_sample = arguments.clip_sample.value_or(scheduler.clip_sample);
}

// The start that a file gives, checked against the network: (N, sample shape...), heights and widths may differ.
Tensor read_start(const std::string& path, const DenoisingNetwork& network) {
  Tensor x_T = SafetensorsReader(path).read("x_T").to(DType::f32);
  const Shape sample = network.sample_shape();
  check(x_T.dim() == sample.rank() + 1 && x_T.size(1) == sample[0], path, ": tensor x_T must be (N, ", sample[0],
        sample.rank() == 3 ? ", H, W), got " : "), got ", x_T.shape());
  check(x_T.size(0) >= 1, path, ": tensor x_T has no rows, its shape is ", x_T.shape());
  const float* values = x_T.data<float>();
  check(std::all_of(values, values + x_T.numel(), [](float value) { return std::isfinite(value); }), path,
        ": tensor x_T holds values that are not finite");
  return x_T;
}

void write_samples(const std::string& out, const Tensor& samples) {
  if (out.ends_with(".safetensors")) {
    save_safetensors(out, {{"samples", samples}});
  } else {
    save_picture(out, samples);
  }
}

int sample(SampleArguments arguments, const Common& common) {
  Pipeline pipeline = load_pipeline(arguments.model);
  require_writable_folder(arguments.out);
  const Shape sample = pipeline.network->sample_shape();
  if (!arguments.out.ends_with(".safetensors")) {
    as_usage_error([&] { check_picture(arguments.out, sample); });
  }
  if (const int64_t all = pipeline.scheduler.schedule.num_train_timesteps; arguments.options.steps > all) {
    throw UsageError(fmt::format("--steps {}: the model has {} timesteps", arguments.options.steps, all));
  }
  arguments.options.num = arguments.num.value_or(sample.rank() == 1 ? 2000 : 16);
  override_scheduler(arguments, pipeline.scheduler);
  if (!arguments.noise.empty()) {
    arguments.options.x_T = read_start(arguments.noise, *pipeline.network);
    arguments.options.num = arguments.options.x_T.size(0);
  }
  std::optional<Progress> progress;
  arguments.options.progress = [&](int64_t done, int64_t total) {
    if (!progress) {
      progress.emplace("sample", total, 0, 1, "sample steps");
    }
    progress->update(done, fmt::format("{} samples", arguments.options.num));
  };
  const Tensor samples = draw_samples(pipeline, arguments.options);
  if (progress) {
    progress->finish();
  }
  write_samples(arguments.out, samples);
  std::fputs(fmt::format("{}: {} samples\n", arguments.out, samples.size(0)).c_str(), stderr);
  if (common.json) {
    std::puts(nlohmann::json{{"out", arguments.out}, {"num", samples.size(0)}}.dump().c_str());
  }
  return kOk;
}

}  // namespace

Verb add_sample(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<SampleArguments>();
  CLI::App* verb = app.add_subcommand("sample", "Draw images or points from a trained model");
  verb->add_option("--model", arguments->model, "Model folder in diffusers' layout, or a run directory")
      ->type_name("DIR")
      ->required();
  verb->add_option("--out", arguments->out,
                   "FILE.png for a picture (of points also FILE.svg), FILE.safetensors for the tensor `samples`, "
                   "(N, C, H, W) or (N, 2)")
      ->type_name("FILE")
      ->required()
      ->check(ends_in({".png", ".svg", ".safetensors"}));
  auto* num = verb->add_option("--num", arguments->num, "How many images (default 16) or points (2000)")
                  ->check(whole_number(1));
  verb->add_option("--noise", arguments->noise, "safetensors file whose tensor x_T (N, C, H, W) is the start")
      ->type_name("FILE")
      ->excludes(num);
  verb->add_option("--seed", arguments->options.seed, "Image i depends on the seed and i alone (default 0)")
      ->check(whole_number(0));
  verb->add_option("--sampler", arguments->options.sampler, "Default: what the model's scheduler says")
      ->check(CLI::IsMember({"ddpm", "ddim"}));
  verb->add_option("--steps", arguments->options.steps, "Network evaluations (default: 50 for ddim, all for ddpm)")
      ->check(whole_number(1));
  verb->add_option("--eta", arguments->options.eta, "Noise of ddim: 0 (default) none, 1 as much as ddpm")
      ->check(real_number(0, 1));
  const char* scheduler = "In place of the model's scheduler configuration";
  verb->add_option("--spacing", arguments->spacing, "Which timesteps fewer steps visit")
      ->check(CLI::IsMember({"leading", "trailing", "linspace"}))
      ->group(scheduler);
  verb->add_option("--prediction-type", arguments->prediction_type, "What the network's output means")
      ->check(CLI::IsMember({"epsilon", "sample", "v_prediction"}))
      ->group(scheduler);
  verb->add_option("--variance-type", arguments->variance_type, "Variance of a step of ddpm")
      ->check(CLI::IsMember({"fixed_small", "fixed_small_log", "fixed_large"}))
      ->group(scheduler);
  // Not a flag with an optional value: CLI11 would set that to false where the flag is absent.
  verb->add_flag_callback(
          "--clip-sample", [arguments] { arguments->clip_sample = true; }, "Clip the predicted x_0 to [-1, 1]")
      ->group(scheduler);
  verb->add_flag_callback(
          "--no-clip-sample", [arguments] { arguments->clip_sample = false; }, "Do not")
      ->group(scheduler)
      ->excludes("--clip-sample");
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato sample --model runs/fashion/model --num 100 --sampler ddim --steps 50 --seed 7 --out grid.png
  sfumato sample --model runs/fashion/model --num 2000 --out samples.safetensors
  sfumato sample --model runs/swissroll/model --num 5000 --out points.svg
  sfumato sample --model runs/fashion/model --noise x_T.safetensors --steps 10 --out y.safetensors

The model's scheduler configuration gives the defaults; flags override it.)");
  return [arguments, &common] {
    apply(common);
    return sample(*arguments, common);
  };
}

}  // namespace sfumato::cli
