#include "diffusion/pipeline/model_folder.h"

#include "nn/state_dict.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";
constexpr size_t kConfigLimit = size_t{1} << 20;

constexpr const char* kModelIndex = R"({
  "_class_name": "DDPMPipeline",
  "_diffusers_version": "0.40.0.dev0",
  "scheduler": [
    "diffusers",
    "DDPMScheduler"
  ],
  "unet": [
    "diffusers",
    "UNet2DModel"
  ]
}
)";

std::unique_ptr<UNet> load_unet(const fs::path& folder) {
  const fs::path config = folder / "config.json";
  auto unet = std::make_unique<UNet>(UNetConfig::from_json(read_file(config, kConfigLimit), config.string()));
  load_state_dict(folder / kWeights, *unet);
  unet->eval();
  return unet;
}

}  // namespace

Pipeline load_pipeline(const fs::path& folder) {
  if (!fs::exists(folder)) {
    throw MissingInput("model folder " + folder.string() + " does not exist");
  }
  if (!fs::exists(folder / "unet") && fs::exists(folder / "config.json")) {
    return {load_unet(folder), SchedulerConfig{}};
  }
  return {load_unet(folder / "unet"), load_scheduler_config(folder / "scheduler" / "scheduler_config.json")};
}

void save_pipeline(const fs::path& folder,
                   const UNetConfig& unet,
                   const NamedTensors& weights,
                   const SchedulerConfig& scheduler) {
  const fs::path building = folder.string() + ".tmp";
  remove_tree(building);
  make_directory(building / "unet");
  make_directory(building / "scheduler");
  write_file_durably(building / "model_index.json", kModelIndex);
  write_file_durably(building / "unet" / "config.json", unet.to_json());
  save_safetensors(building / "unet" / kWeights, weights, {{"format", "pt"}});
  save_scheduler_config(building / "scheduler" / "scheduler_config.json", scheduler);
  if (fs::exists(folder)) {
    // A folder that is not empty cannot be renamed over: it steps aside first.
    const fs::path old = folder.string() + ".old";
    remove_tree(old);
    rename_durably(folder, old);
    rename_durably(building, folder);
    remove_tree(old);
  } else {
    rename_durably(building, folder);
  }
}

Denoiser denoiser_of(const UNet& unet) {
  return [&unet](const Tensor& x_t, const Tensor& t) {
    NoGradGuard guard;
    return unet(x_t, t).tensor();
  };
}

}  // namespace sfumato
