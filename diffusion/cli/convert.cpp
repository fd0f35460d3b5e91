// `sfumato convert`: weights of other programs as a model folder that diffusers and this program read.
#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/output.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/model/unet.h"
#include "diffusion/pipeline/classes.h"
#include "diffusion/pipeline/foreign.h"
#include "diffusion/pipeline/model_folder.h"
#include "diffusion/pipeline/weights.h"
#include "diffusion/train/run_directory.h"
#include "tensor/io/safetensors_shards.h"

namespace sfumato::cli {
namespace {

struct ConvertArguments {
  std::string from, to = "diffusers", in, out, dtype, beta_schedule = "linear", variance_type, prediction_type;
  int64_t num_train_timesteps = 1000;
  std::optional<int64_t> sample_size;
  ForeignOptions foreign;
  std::vector<CLI::Option*> about_foreign;  // options that a diffusers folder answers itself
};

DType parse_dtype(const std::string& name) {
  return name == "f64" ? DType::f64 : name == "bf16" ? DType::bf16 : DType::f32;
}

// How the usual runs of these programs were trained; their files do not tell.
SchedulerConfig scheduler_of(const ConvertArguments& arguments, const UNetConfig& config) {
  SchedulerConfig scheduler;
  scheduler.schedule.num_train_timesteps = arguments.num_train_timesteps;
  scheduler.schedule.beta_schedule = arguments.beta_schedule;
  if (arguments.from == "openai" && arguments.beta_schedule == "linear") {
    // Their linear schedule ends in the same noise for every number of timesteps.
    const double scale = 1000 / static_cast<double>(arguments.num_train_timesteps);
    scheduler.schedule.beta_start *= scale;
    scheduler.schedule.beta_end *= scale;
  }
  const bool learned = config.out_channels == 2 * config.in_channels;
  scheduler.variance_type = learned ? VarianceType::learned_range : VarianceType::fixed_large;
  if (!arguments.variance_type.empty()) scheduler.variance_type = parse_variance_type(arguments.variance_type);
  if (!arguments.prediction_type.empty()) scheduler.prediction_type = parse_prediction_type(arguments.prediction_type);
  scheduler.validate();
  return scheduler;
}

struct Converted {
  std::unique_ptr<DenoisingNetwork> network;
  NamedTensors weights;
  SchedulerConfig scheduler;
  ClassList classes;  // what the labels mean, where a folder of ours says it
};

Converted convert_foreign(const ConvertArguments& arguments) {
  const bool openai = arguments.from == "openai";
  const NamedTensors tensors = read_tensors(arguments.in);
  ForeignModel model = openai ? from_openai(tensors, arguments.foreign) : from_ho(tensors, arguments.foreign);
  auto network = std::make_unique<UNet>(model.config);
  network->load_state_dict(model.weights, arguments.in);  // every name and shape, before anything is written
  SchedulerConfig scheduler = scheduler_of(arguments, model.config);
  return {std::move(network), std::move(model.weights), std::move(scheduler), {}};
}

Converted convert_diffusers(const ConvertArguments& arguments) {
  Pipeline pipeline = load_pipeline(arguments.in);
  NamedTensors weights = read_weights(network_folder(arguments.in));  // with their own dtypes
  ClassList classes = load_classes(arguments.in, *pipeline.network);
  if (classes.names.empty() && !classes.null_label) classes = {};  // no more than the configuration says
  return {std::move(pipeline.network), std::move(weights), std::move(pipeline.scheduler), std::move(classes)};
}

int convert(ConvertArguments arguments, const Common& common) {
  const bool diffusers = arguments.from == "diffusers";
  for (const CLI::Option* option : arguments.about_foreign) {
    if (diffusers && !option->empty()) {
      throw UsageError(fmt::format("{}: a diffusers folder says that itself", option->get_name()));
    }
  }
  if (!diffusers && !arguments.sample_size) {
    throw UsageError("--sample-size is needed: the weights do not tell the size of the images");
  }
  arguments.foreign.sample_size = arguments.sample_size.value_or(0);
  if (std::filesystem::exists(arguments.out)) {
    throw CannotCreate(fmt::format("cannot create {}: it exists", arguments.out));
  }
  require_writable_folder(arguments.out);
  Converted model = diffusers ? convert_diffusers(arguments) : convert_foreign(arguments);
  if (!arguments.dtype.empty()) convert_floating(model.weights, parse_dtype(arguments.dtype));
  save_pipeline(arguments.out, *model.network, model.weights, model.scheduler, model.classes);
  const int64_t parameters = model.network->num_parameters();
  std::fputs(fmt::format("{}: {} tensors, {} parameters\n", arguments.out, model.weights.size(), parameters).c_str(),
             stderr);
  if (common.json) {
    const nlohmann::json json{{"out", arguments.out}, {"tensors", model.weights.size()}, {"parameters", parameters}};
    std::puts(json.dump().c_str());
  }
  return kOk;
}

void add_foreign_options(CLI::App& verb, ConvertArguments& arguments) {
  const char* group = "What the weights do not tell (openai and ho)";
  const auto add = [&](CLI::Option* option) { arguments.about_foreign.push_back(option->group(group)); };
  add(verb.add_option("--sample-size", arguments.sample_size, "Height and width of the images; needed")
          ->check(whole_number(1)));
  add(verb.add_option("--num-heads", arguments.foreign.num_heads, "openai: attention heads, as the model's own flag")
          ->check(whole_number(1)));
  add(verb.add_option("--num-head-channels", arguments.foreign.num_head_channels, "openai: or the channels of each")
          ->check(whole_number(1))
          ->excludes("--num-heads"));
  add(verb.add_flag("--new-attention-order", arguments.foreign.new_attention_order,
                    "openai: trained with use_new_attention_order"));
  add(verb.add_option("--norm-num-groups", arguments.foreign.norm_num_groups, "Groups of the norms (default 32)")
          ->check(whole_number(1)));
  add(verb.add_option("--num-train-timesteps", arguments.num_train_timesteps, "Default 1000")
          ->check(whole_number(1, 1'000'000)));
  add(verb.add_option("--beta-schedule", arguments.beta_schedule, "Default linear; cosine is squaredcos_cap_v2")
          ->check(CLI::IsMember({"linear", "squaredcos_cap_v2"})));
  add(verb.add_option("--prediction-type", arguments.prediction_type, "Default epsilon")
          ->check(CLI::IsMember({"epsilon", "sample", "v_prediction"})));
  add(verb.add_option("--variance-type", arguments.variance_type,
                      "Default: learned_range for a network with 2 C output channels, else fixed_large")
          ->check(CLI::IsMember({"fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"})));
}

}  // namespace

Verb add_convert(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<ConvertArguments>();
  CLI::App* verb = app.add_subcommand("convert", "Turn weights of other programs into a model folder");
  verb->add_option("IN", arguments->in,
                   "Weights as safetensors, or an index of shards (.json); of diffusers a model folder")
      ->type_name("FILE|DIR")
      ->required();
  verb->add_option("OUT", arguments->out, "The new model folder")->type_name("DIR")->required();
  verb->add_option("--from", arguments->from,
                   "Whose names: of improved/guided-diffusion, of Ho et al.'s code or its PyTorch port, of diffusers")
      ->check(CLI::IsMember({"openai", "ho", "diffusers"}))
      ->required();
  verb->add_option("--to", arguments->to, "The layout that is written")->check(CLI::IsMember({"diffusers"}));
  verb->add_option("--dtype", arguments->dtype, "Of the written weights (default: as they were; F16 becomes f32)")
      ->check(CLI::IsMember({"f32", "bf16", "f64"}));
  add_foreign_options(*verb, *arguments);
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato convert --from openai --sample-size 32 --num-heads 4 cifar10_uncond.safetensors cifar10
  sfumato convert --from openai --sample-size 64 --num-head-channels 64 --new-attention-order \
      --beta-schedule squaredcos_cap_v2 64x64_diffusion.safetensors adm64
  sfumato convert --from ho --sample-size 32 ema_diffusion_cifar10.safetensors ho-cifar10
  sfumato convert --from diffusers --dtype bf16 runs/fashion/model fashion-bf16

A tensor that no rule takes is an error, so nothing is lost in silence.)");
  return [arguments, &common] {
    apply(common);
    return convert(*arguments, common);
  };
}

}  // namespace sfumato::cli
