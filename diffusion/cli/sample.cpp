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
#include "diffusion/pipeline/classes.h"
#include "diffusion/pipeline/picture.h"
#include "diffusion/pipeline/sample.h"
#include "diffusion/samplers/table.h"
#include "diffusion/train/progress.h"
#include "diffusion/train/run_directory.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops/join.h"
#include "tensor/parallel.h"

namespace sfumato::cli {
namespace {

struct SampleArguments {
  std::string model, out, noise, prediction_type, variance_type;
  std::optional<int64_t> num;
  std::optional<bool> clip_sample;
  std::vector<std::string> classes;
  std::optional<double> guidance_scale;
  std::optional<int64_t> null_label;
  SampleOptions options;
};

void override_scheduler(const SampleArguments& arguments, SchedulerConfig& scheduler) {
  if (!arguments.prediction_type.empty()) {
    scheduler.prediction_type = parse_prediction_type(arguments.prediction_type);
  }
  if (!arguments.variance_type.empty()) {
    scheduler.variance_type = parse_variance_type(arguments.variance_type);
  }
  if (arguments.clip_sample) {
    scheduler.clip_sample = *arguments.clip_sample;
    scheduler.clip_sample_given = true;
  }
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

// The labels that --class asks for, in its order; none where the model is to be sampled without a class.
std::vector<int64_t> labels_asked_for(const SampleArguments& arguments, const ClassList& classes) {
  const char* given = !arguments.classes.empty() ? "--class"
                      : arguments.guidance_scale ? "--guidance-scale"
                      : arguments.null_label     ? "--null-label"
                                                 : nullptr;
  if (classes.count == 0 && given != nullptr) {
    throw UsageError(fmt::format("{}: this model knows no classes", given));
  }
  if (arguments.classes.empty() && arguments.guidance_scale) {
    throw UsageError("--guidance-scale: say which classes with --class");
  }
  if (arguments.classes.empty() && classes.count > 0 && !classes.null_label) {
    throw UsageError(
        fmt::format("--class: this model was not trained without a class: say which, 0..{} or all", classes.count - 1));
  }
  std::vector<int64_t> labels;
  for (const std::string& text : arguments.classes) {
    if (text == "all") {
      for (int64_t label = 0; label < classes.count; ++label) {
        labels.push_back(label);
      }
    } else {
      as_usage_error([&] { labels.push_back(classes.find(text)); });
    }
  }
  return labels;
}

// Puts the classes into the options: `options.num` samples of each, or the given starts for each.
void choose_classes(SampleArguments& arguments, const std::vector<int64_t>& asked, const ClassList& classes) {
  SampleOptions& options = arguments.options;
  const std::vector<int64_t> labels = asked.empty() && classes.null_label ? std::vector{*classes.null_label} : asked;
  if (labels.empty()) {
    return;
  }
  options.labels = labels_by_class(labels, options.num);
  if (options.x_T.defined()) {
    options.x_T = cat(std::vector<Tensor>(labels.size(), options.x_T), 0);
  }
  options.num = options.labels.numel();
  options.guidance_scale = arguments.guidance_scale.value_or(1);
  options.null_label = classes.null_label;
  if (options.guidance_scale != 1 && !options.null_label) {
    throw UsageError("--guidance-scale: the model folder does not say which label means no class (--null-label does)");
  }
}

// What the model folder says of its classes, and --null-label of the label that is none of them.
ClassList classes_of(const SampleArguments& arguments, const DenoisingNetwork& network) {
  ClassList classes = load_classes(arguments.model, network);
  if (arguments.null_label && classes.count > 0) {
    if (*arguments.null_label >= network.num_classes()) {
      throw UsageError(fmt::format("--null-label {}: the model's labels are 0..{}", *arguments.null_label,
                                   network.num_classes() - 1));
    }
    classes.null_label = arguments.null_label;
  }
  return classes;
}

std::vector<std::string> sampler_names() {
  std::vector<std::string> names;
  for (const NamedSampler& sampler : named_samplers()) {
    names.emplace_back(sampler.name);
  }
  return names;
}

void write_samples(const std::string& out, const Tensor& samples, int64_t columns) {
  if (out.ends_with(".safetensors")) {
    save_safetensors(out, {{"samples", samples}});
  } else {
    save_picture(out, samples, /*data=*/nullptr, columns);
  }
}

int sample(SampleArguments arguments, Common& common) {
  ProcessGroup& group = common.join();
  Pipeline pipeline = load_pipeline(arguments.model);
  if (group.is_root()) {
    require_writable_folder(arguments.out);
  }
  const Shape sample = pipeline.network->sample_shape();
  if (!arguments.out.ends_with(".safetensors")) {
    as_usage_error([&] { check_picture(arguments.out, sample); });
  }
  if (const int64_t all = pipeline.scheduler.schedule.num_train_timesteps; arguments.options.steps > all) {
    throw UsageError(fmt::format("--steps {}: the model has {} timesteps", arguments.options.steps, all));
  }
  const ClassList classes = classes_of(arguments, *pipeline.network);
  const std::vector<int64_t> labels = labels_asked_for(arguments, classes);
  const bool several = labels.size() > 1;
  const std::string& sampler = arguments.options.sampler;
  const bool on_timesteps = sampler == "ddpm" || sampler == "ddim" ||
                            (sampler.empty() && pipeline.scheduler.class_name != "DPMSolverMultistepScheduler");
  if (arguments.options.spacing == "karras" && on_timesteps) {
    throw UsageError("--spacing karras: ddpm and ddim visit whole timesteps; it is for the other samplers");
  }
  arguments.options.num = arguments.num.value_or(sample.rank() == 1 ? 2000 : several ? 8 : 16);
  override_scheduler(arguments, pipeline.scheduler);
  if (!arguments.noise.empty()) {
    arguments.options.x_T = read_start(arguments.noise, *pipeline.network);
    arguments.options.num = arguments.options.x_T.size(0);
  }
  const int64_t per_class = arguments.options.num;
  choose_classes(arguments, labels, classes);
  arguments.options.group = &group;
  std::optional<Progress> progress;
  arguments.options.progress = [&](int64_t done, int64_t total) {
    if (!group.is_root()) {
      return;
    }
    if (!progress) {
      progress.emplace("sample", total, 0, 1, "sample steps");
    }
    progress->update(done, fmt::format("{} samples", arguments.options.num));
  };
  const Tensor samples = draw_samples(pipeline, arguments.options);
  if (progress) {
    progress->finish();
  }
  if (!group.is_root()) {
    return kOk;
  }
  write_samples(arguments.out, samples, several ? per_class : 0);
  std::fputs(fmt::format("{}: {} samples\n", arguments.out, samples.size(0)).c_str(), stderr);
  if (common.json) {
    nlohmann::json result{{"out", arguments.out}, {"num", samples.size(0)}};
    if (!labels.empty()) {
      result["classes"] = labels;
    }
    std::puts(result.dump().c_str());
  }
  return kOk;
}

}  // namespace

Verb add_sample(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<SampleArguments>();
  CLI::App* verb = app.add_subcommand("sample", "Draw images or points from a trained model");
  verb->add_option("--model", arguments->model, "Model folder in diffusers' layout, a run directory, or oracle:NAME")
      ->type_name("DIR")
      ->required();
  verb->add_option("--out", arguments->out,
                   "FILE.png for a picture (of points also FILE.svg), FILE.safetensors for the tensor `samples`, "
                   "(N, C, H, W) or (N, 2)")
      ->type_name("FILE")
      ->required()
      ->check(ends_in({".png", ".svg", ".safetensors"}));
  auto* num = verb->add_option("--num", arguments->num,
                               "How many images (default 16; of each class 8) or points (2000); with --class, of each")
                  ->check(whole_number(1));
  verb->add_option("--noise", arguments->noise, "safetensors file whose tensor x_T (N, C, H, W) is the start")
      ->type_name("FILE")
      ->excludes(num);
  const char* conditional = "Of a class-conditional model";
  verb->add_option("--class", arguments->classes,
                   "A class by number or name, or all; may be given again. Several make a row of the picture each")
      ->type_name("CLASS")
      ->group(conditional);
  verb->add_option("--guidance-scale", arguments->guidance_scale,
                   "Classifier-free guidance: 1 (default) none, more exaggerates the class (2 to 4 are usual)")
      ->type_name("W")
      ->check(real_number(0))
      ->group(conditional);
  verb->add_option("--null-label", arguments->null_label,
                   "The label that means no class, where the model folder does not say")
      ->check(whole_number(0))
      ->group(conditional);
  verb->add_option("--seed", arguments->options.seed, "Image i depends on the seed and i alone (default 0)")
      ->check(whole_number(0));
  verb->add_option("--sampler", arguments->options.sampler, "Default: what the model's scheduler says")
      ->check(CLI::IsMember(sampler_names()));
  verb->add_option("--steps", arguments->options.steps, "Steps (default: the sampler's; all for ddpm, 50 for ddim)")
      ->check(whole_number(1));
  verb->add_option("--eta", arguments->options.eta, "Noise of ddim: 0 (default) none, 1 as much as ddpm")
      ->check(real_number(0, 1));
  const char* scheduler = "In place of the model's scheduler configuration";
  verb->add_option("--spacing", arguments->options.spacing,
                   "Which timesteps fewer steps visit (karras: not of ddpm and ddim)")
      ->check(CLI::IsMember({"leading", "trailing", "linspace", "karras"}))
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
  sfumato sample --model runs/fashion/model --sampler dpm++2m --steps 20 --spacing karras --out fast.png
  sfumato sample --model oracle:gmm2d --num 5000 --sampler heun --out oracle.svg
  sfumato sample --model runs/fashion/model --noise x_T.safetensors --steps 10 --out y.safetensors
  sfumato sample --model runs/classes/model --class all --num 10 --guidance-scale 2 --out classes.png
  sfumato sample --model runs/classes/model --class Sneaker --class 9 --out shoes.png

The model's scheduler configuration gives the defaults; flags override it. Under mpirun or srun the ranks share the
samples out and rank 0 writes them: the same images (docs/cluster.md).)");
  return [arguments, &common] {
    apply(common);
    return sample(*arguments, common);
  };
}

}  // namespace sfumato::cli
