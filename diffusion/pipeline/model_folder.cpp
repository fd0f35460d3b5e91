#include "diffusion/pipeline/model_folder.h"

#include <map>
#include <nlohmann/json.hpp>

#include "diffusion/oracle/oracle_network.h"
#include "diffusion/pipeline/weights.h"
#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/io/safetensors.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

constexpr size_t kConfigLimit = size_t{1} << 20;

// diffusers' class for a scheduler: DDIMPipeline exchanges any other scheduler for DDIM's.
std::string_view pipeline_class(const NetworkKind& kind, const SchedulerConfig& scheduler) {
  if (kind.owner != "diffusers") return "SfumatoPipeline";
  return scheduler.class_name == "DDIMScheduler" ? "DDIMPipeline" : "DDPMPipeline";
}

// As diffusers writes it; a pipeline around a class of ours calls itself ours, so that diffusers refuses it by name.
std::string model_index(const NetworkKind& kind, const SchedulerConfig& scheduler) {
  nlohmann::json json{{"_class_name", pipeline_class(kind, scheduler)},
                      {"scheduler", {"diffusers", scheduler.class_name}},
                      {kind.folder, {kind.owner, kind.class_name}}};
  if (kind.owner == "diffusers") {
    json["_diffusers_version"] = "0.40.0.dev0";
  }
  return json.dump(2) + "\n";
}

std::unique_ptr<DenoisingNetwork> load_network(const fs::path& folder) {
  const fs::path config = folder / "config.json";
  auto network = network_from_json(read_file(config, kConfigLimit), config.string());
  NamedTensors weights = read_weights(folder);
  convert_floating(weights, DType::f32);
  network->load_state_dict(std::move(weights), folder.string());
  network->eval();
  return network;
}

// What model_index.json says must be what the folder holds. `parts` maps a component to its class.
void check_index(const fs::path& path, const std::map<std::string, std::string>& parts) {
  const auto refuse = [&](const auto&... words) {
    throw FormatError(detail::join_parts(path.string(), ": ", words...));
  };
  const auto json = parse_json(read_file(path, kConfigLimit), path.string());
  if (!json.is_object()) refuse("not a JSON object");
  const auto name = json.value("_class_name", nlohmann::json());
  if (name != "DDPMPipeline" && name != "DDIMPipeline" && name != "SfumatoPipeline") {
    refuse("_class_name has the value ", name.dump(), ", which is not supported (DDPMPipeline and DDIMPipeline are)");
  }
  for (const auto& [key, value] : json.items()) {
    if (key.starts_with("_") || value.is_null()) continue;
    const auto part = parts.find(key);
    if (part == parts.end()) refuse("component ", key, " has the value ", value.dump(), ", which is not supported");
    if (!value.is_array() || value.size() != 2 || value[1] != part->second) {
      refuse("component ", key, " has the value ", value.dump(), ", but the folder holds a ", part->second);
    }
  }
}

// The network in `place` and the scheduler in `scheduler`, checked against the index in `folder` where there is one.
Pipeline load_parts(const fs::path& folder, const fs::path& place, const fs::path& scheduler) {
  Pipeline pipeline;
  pipeline.network = load_network(place);
  pipeline.scheduler = load_scheduler_config(scheduler);
  if (fs::exists(folder / "model_index.json")) {
    const std::string class_name = pipeline.network->class_name();
    check_index(folder / "model_index.json", {{std::string(network_kind(class_name).folder), class_name},
                                              {"scheduler", pipeline.scheduler.class_name}});
  }
  return pipeline;
}

// Ho et al.'s schedule; E[x_0 | x_t] needs no clipping.
Pipeline oracle_pipeline(OracleModel oracle) {
  SchedulerConfig scheduler;
  scheduler.prediction_type = PredictionType::sample;
  scheduler.timestep_spacing = TimestepSpacing::trailing;
  scheduler.clip_sample = false;
  return {std::make_unique<OracleNetwork>(std::move(oracle), scheduler.make_schedule()), scheduler};
}

}  // namespace

fs::path network_folder(const fs::path& folder) {
  for (const fs::path& model : {folder, folder / "model"}) {
    for (const NetworkKind& kind : network_kinds()) {
      if (fs::exists(model / kind.folder / "config.json")) {
        return model / kind.folder;
      }
    }
  }
  if (!fs::exists(folder / "config.json")) {
    throw MissingInput(folder.string() + " is no model folder and no run directory: it has no config.json");
  }
  return folder;
}

Pipeline load_pipeline(const fs::path& folder) {
  if (const std::string name = folder.string(); !oracle_spec(name).empty()) {
    return oracle_pipeline(named_oracle(oracle_spec(name)));
  }
  if (!fs::exists(folder)) {
    throw MissingInput("model folder " + folder.string() + " does not exist");
  }
  if (fs::exists(folder / "model" / "model_index.json")) {
    return load_pipeline(folder / "model");
  }
  for (const NetworkKind& kind : network_kinds()) {
    if (fs::exists(folder / kind.folder)) {
      return load_parts(folder, folder / kind.folder, folder / "scheduler" / "scheduler_config.json");
    }
  }
  if (!fs::exists(folder / "config.json")) {
    throw MissingInput("model folder " + folder.string() + " has neither a network folder (unet/) nor a config.json");
  }
  if (fs::exists(folder / "scheduler_config.json")) {  // diffusers' first folders had all files side by side
    return load_parts(folder, folder, folder / "scheduler_config.json");
  }
  return {load_network(folder), SchedulerConfig{}};
}

void save_pipeline(const fs::path& folder,
                   const DenoisingNetwork& network,
                   const NamedTensors& weights,
                   const SchedulerConfig& scheduler,
                   const ClassList& classes) {
  const NetworkKind& kind = network_kind(network.class_name());
  write_folder_durably(folder, [&](const fs::path& building) {
    const fs::path place = building / kind.folder;
    make_directory(place);
    make_directory(building / "scheduler");
    write_file_durably(building / "model_index.json", model_index(kind, scheduler));
    write_file_durably(place / "config.json", network.config_json());
    save_safetensors(place / kWeightsFile, weights, {{"format", "pt"}});
    save_scheduler_config(building / "scheduler" / "scheduler_config.json", scheduler);
    if (classes.count > 0) {
      write_file_durably(building / "classes.json", classes.to_json());
    }
  });
}

}  // namespace sfumato
