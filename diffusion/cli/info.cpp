// `sfumato info`: what this build is and what it runs on; with --config, what a training run would need.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "diffusion/cli/exit_codes.h"
#include "diffusion/cli/options.h"
#include "diffusion/cli/verbs.h"
#include "diffusion/data/open.h"
#include "diffusion/train/config.h"
#include "diffusion/train/environment.h"
#include "diffusion/train/plan.h"
#include "diffusion/train/progress.h"
#include "nn/distributed/mpi_group.h"
#include "tensor/allocator.h"
#include "tensor/backend/info.h"
#include "tensor/io/file.h"
#include "tensor/parallel.h"

namespace sfumato::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InfoArguments {
  std::string config, data;
  std::vector<int64_t> sample_shape;
  std::vector<std::string> assignments;
};

int64_t whole(double value) { return std::llround(value); }

double gibibytes(double bytes) { return bytes / static_cast<double>(1 << 30); }

Json describe_machine(const Common& common) {
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  return {{"sfumato", kVersion},
          {"cpu", cpu_name()},
          {"instruction_set", instruction_set_name()},
          {"memory_bytes", whole(memory)},
          {"threads", num_threads()},
          {"threads_from", common.threads > 0 ? "--threads" : num_threads_origin()},
          {"onednn", onednn_version()},
          {"openmp", openmp_version()},
          {"mpi", mpi_library()},
          {"allocator", "caching; 64-byte alignment, huge pages from 1 MiB"},
          {"compiler", __VERSION__}};
}

Json presets() {
  Json list = Json::object();
  for (const std::string_view name : preset_names()) {
    const TrainConfig config = TrainConfig::from_toml(preset_text(name), std::string(name));
    list[std::string(name)] = {{"steps", config.steps}, {"batch_size", config.batch_size}, {"network", config.network}};
  }
  return list;
}

int show_machine(const Common& common) {
  Json json = describe_machine(common);
  if (common.json) {
    json["presets"] = presets();
    std::puts(json.dump().c_str());
    return kOk;
  }
  json["memory_bytes"] = fmt::format("{:.1f} GiB", gibibytes(json["memory_bytes"].get<double>()));
  for (const auto& [key, value] : json.items()) {
    fmt::print("{:16} {}\n", key == "memory_bytes" ? "memory" : key,
               value.is_string() ? value.get<std::string>() : value.dump());
  }
  const Json known = presets();
  for (const auto& [name, preset] : known.items()) {
    fmt::print("preset           {}: {} steps of {} with a {}\n", name, preset["steps"].dump(),
               preset["batch_size"].dump(), preset["network"].get<std::string>());
  }
  return kOk;
}

// The memory of this process that is in RAM now.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

bool is_preset(const std::string& name) {
  const auto names = preset_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

int show_plan(const InfoArguments& arguments, const Common& common) {
  const bool preset = is_preset(arguments.config);
  if (!preset && !std::filesystem::exists(arguments.config)) {
    throw MissingInput(fmt::format("--config: '{}' is neither a file nor a preset ({})", arguments.config,
                                   fmt::join(preset_names(), ", ")));
  }
  TrainConfig config = preset ? TrainConfig::from_toml(preset_text(arguments.config), arguments.config)
                              : TrainConfig::from_toml(read_file(arguments.config, kMaxConfigBytes), arguments.config);
  for (const std::string& assignment : arguments.assignments) {
    config.set(assignment);
  }
  config.validate();
  std::shared_ptr<const Dataset> data;
  if (!arguments.data.empty()) {
    data = open_data(arguments.data, {.image_size = config.image_size, .channels = config.channels});
  }
  if (config.class_conditional && config.num_classes == 0 && data) {
    config.num_classes = data->num_classes();
  }
  const auto data_bytes = static_cast<double>(allocator_stats().live_bytes);
  const bool is_fashion = preset && !arguments.config.starts_with("cifar");
  const Shape sample =
      data && arguments.sample_shape.empty()
          ? data->sample_shape()
          : sample_shape_without_data(arguments.sample_shape, config, is_fashion ? Shape{1, 28, 28} : Shape{3, 32, 32});
  const MachineRates machine = measure_machine();
  const double resident_before = resident_bytes();  // code, libraries and data
  const StepPlan plan = plan_step(config, sample, machine);
  const double peak = static_cast<double>(plan.peak_bytes) + data_bytes;
  const double resident = resident_before + static_cast<double>(plan.reserved_bytes);
  if (common.json) {
    const Json json{{"config", arguments.config},
                    {"sample_shape", std::vector<int64_t>(sample.begin(), sample.end())},
                    {"batch_size", config.batch_size},
                    {"micro_batch", config.micro_batch},
                    {"parameters", plan.parameters},
                    {"forward_macs", whole(plan.forward_macs)},
                    {"step_flops", whole(plan.step_flops)},
                    {"step_bytes", whole(plan.step_bytes)},
                    {"ops", plan.ops},
                    {"state_bytes", plan.state_bytes},
                    {"data_bytes", whole(data_bytes)},
                    {"peak_bytes", whole(peak)},
                    {"resident_bytes", whole(resident)},
                    {"seconds_per_step", plan.seconds},
                    {"matmul_flops_per_second", whole(machine.matmul_flops)},
                    {"bytes_per_second", whole(machine.bytes_per_second)},
                    {"threads", num_threads()}};
    std::puts(json.dump().c_str());
    return kOk;
  }
  fmt::print("config           {}, samples of {}\n", arguments.config, to_string(sample));
  fmt::print("parameters       {}\n", plan.parameters);
  const bool large = plan.forward_macs >= 1e8;
  fmt::print("forward pass     {:.3f} {}MAC per sample\n", plan.forward_macs * (large ? 1e-9 : 1e-6),
             large ? 'G' : 'M');
  fmt::print("optimiser step   {:.1f} GFLOP in {} ops, {} samples in micro-batches of {}\n", plan.step_flops * 1e-9,
             plan.ops, config.batch_size, config.micro_batch);
  fmt::print("memory           {:.3f} GiB of tensors at the peak of a step, {:.3f} GiB kept between steps{}\n",
             gibibytes(peak), gibibytes(static_cast<double>(plan.state_bytes) + data_bytes),
             data ? " (the data included)" : " (the data not included)");
  fmt::print("process          {:.3f} GiB resident\n", gibibytes(resident));
  fmt::print(
      "time             about {:.3g} s per step, {:.3g} samples/s ({} threads, matmul {:.0f} GFLOP/s, memory {:.0f} "
      "GB/s)\n",
      plan.seconds, static_cast<double>(config.batch_size) / plan.seconds, num_threads(), machine.matmul_flops * 1e-9,
      machine.bytes_per_second * 1e-9);
  fmt::print("whole run        about {} for {} steps\n",
             format_duration(plan.seconds * static_cast<double>(config.steps)), config.steps);
  return kOk;
}

}  // namespace

Verb add_info(CLI::App& app, Common& common) {
  auto arguments = std::make_shared<InfoArguments>();
  CLI::App* verb = app.add_subcommand("info", "Show the machine and this build, or what a training run would need");
  const std::vector<std::string_view> names = preset_names();
  auto* config =
      verb->add_option("--config", arguments->config,
                       "A preset or a TOML file: its parameters, arithmetic, peak memory and seconds per step")
          ->type_name("NAME|FILE")
          ->check(suggestions({names.begin(), names.end()}));
  verb->add_option("--data", arguments->data, "With --config: take the shape of a sample from this data")
      ->type_name("NAME|DIR")
      ->check(suggestions(dataset_names()))
      ->needs(config);
  verb->add_option("--sample-shape", arguments->sample_shape, "With --config: the shape of a sample, as 3,32,32")
      ->type_name("C,H,W")
      ->delimiter(',')
      ->check(whole_number(1))
      ->needs(config);
  verb->add_option("--set", arguments->assignments, "With --config: change one key: --set micro_batch=8")
      ->type_name("KEY=VALUE")
      ->needs(config);
  add_common_options(*verb, common);
  verb->footer(R"(Examples:
  sfumato info
  sfumato info --config cifar10-ddpm
  sfumato info --config my.toml --sample-shape 1,64,64 --set batch_size=32 --json

Parameters, arithmetic and memory are counted in a dry run of the real training step; the seconds are an estimate from
this machine's speed, measured for a quarter of a second. Without --data or --sample-shape a preset's usual data is
assumed, for a file colour images of 32 x 32 or of its image_size.)");
  return [arguments, &common] {
    apply(common);
    return arguments->config.empty() ? show_machine(common) : show_plan(*arguments, common);
  };
}

}  // namespace sfumato::cli
