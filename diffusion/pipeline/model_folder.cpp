#include "diffusion/pipeline/model_folder.h"

#include <nlohmann/json.hpp>

#include "nn/state_dict.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";
constexpr size_t kConfigLimit = size_t{1} << 20;

// As diffusers writes it; a pipeline around a class of ours calls itself ours, so that diffusers refuses it by name.
std::string model_index(const NetworkKind& kind) {
  const bool theirs = kind.owner == "diffusers";
  nlohmann::json json{{"_class_name", theirs ? "DDPMPipeline" : "SfumatoPipeline"},
                      {"scheduler", {"diffusers", "DDPMScheduler"}},
                      {kind.folder, {kind.owner, kind.class_name}}};
  if (theirs) {
    json["_diffusers_version"] = "0.40.0.dev0";
  }
  return json.dump(2) + "\n";
}

std::unique_ptr<DenoisingNetwork> load_network(const fs::path& folder) {
  const fs::path config = folder / "config.json";
  auto network = network_from_json(read_file(config, kConfigLimit), config.string());
  load_state_dict(folder / kWeights, *network);
  network->eval();
  return network;
}

}  // namespace

Pipeline load_pipeline(const fs::path& folder) {
  if (!fs::exists(folder)) {
    throw MissingInput("model folder " + folder.string() + " does not exist");
  }
  if (fs::exists(folder / "model" / "model_index.json")) {
    return load_pipeline(folder / "model");
  }
  for (const NetworkKind& kind : network_kinds()) {
    if (fs::exists(folder / kind.folder)) {
      return {load_network(folder / kind.folder),
              load_scheduler_config(folder / "scheduler" / "scheduler_config.json")};
    }
  }
  if (!fs::exists(folder / "config.json")) {
    throw MissingInput("model folder " + folder.string() + " has neither a network folder (unet/) nor a config.json");
  }
  return {load_network(folder), SchedulerConfig{}};
}

void save_pipeline(const fs::path& folder,
                   const DenoisingNetwork& network,
                   const NamedTensors& weights,
                   const SchedulerConfig& scheduler) {
  const NetworkKind& kind = network_kind(network.class_name());
  write_folder_durably(folder, [&](const fs::path& building) {
    const fs::path place = building / kind.folder;
    make_directory(place);
    make_directory(building / "scheduler");
    write_file_durably(building / "model_index.json", model_index(kind));
    write_file_durably(place / "config.json", network.config_json());
    save_safetensors(place / kWeights, weights, {{"format", "pt"}});
    save_scheduler_config(building / "scheduler" / "scheduler_config.json", scheduler);
  });
}

Denoiser denoiser_of(const DenoisingNetwork& network) {
  return [&network](const Tensor& x_t, const Tensor& t) {
    NoGradGuard guard;
    return network(x_t, t).tensor();
  };
}

}  // namespace sfumato
