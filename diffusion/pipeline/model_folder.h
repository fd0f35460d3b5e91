// Model folders in diffusers' layout, which DDPMPipeline.from_pretrained loads:
//
//   model_index.json
//   unet/config.json
//   unet/diffusion_pytorch_model.safetensors
//   scheduler/scheduler_config.json
//   classes.json                                 only of a class-conditional model ("diffusion/pipeline/classes.h")
//
// A network that diffusers does not have (MlpDenoiser) is laid out alike in a folder of its own (`mlp/` instead of
// `unet/`), and model_index.json says that its class is ours.
//
//   Pipeline pipeline = load_pipeline("run/model");
//   Tensor images = draw_samples(pipeline, {.num = 16, .seed = 1});
//
// The pipeline's class follows the scheduler's: DDIMPipeline for DDIMScheduler, DDPMPipeline for the other two.
//
// A folder written here depends on the weights and configurations alone: no times, paths or hosts.
#pragma once

#include <filesystem>
#include <memory>

#include "diffusion/model/network.h"
#include "diffusion/pipeline/classes.h"
#include "diffusion/schedule/scheduler_config.h"

namespace sfumato {

// A network with the schedule that it was trained on.
struct Pipeline {
  std::unique_ptr<DenoisingNetwork> network;
  SchedulerConfig scheduler;
};

// Reads a pipeline folder, a run directory (its model/), or a bare network folder (config.json beside the weights, and
// perhaps scheduler_config.json; the scheduler is else Ho et al.'s). "oracle:NAME" is no folder but a closed form
// ("diffusion/oracle/named.h") as if trained with Ho et al.'s schedule. Weights of any floating dtype become f32; they
// may be sharded and have legacy names ("diffusion/pipeline/weights.h"). Throws MissingInput when a file is not there,
// FormatError or Error when one is broken or asks for something that is not supported.
Pipeline load_pipeline(const std::filesystem::path& folder);

// The folder in which a network's config.json and weights lie: of a model folder, a run directory or itself. Throws
// MissingInput.
std::filesystem::path network_folder(const std::filesystem::path& folder);

// Writes `network`'s configuration with `weights` (the EMA's, say) under its names. The whole folder is built beside
// its final place and renamed, so that `folder` is never half a model; an existing one is replaced. `classes` are
// written if there are any. Throws IoError.
void save_pipeline(const std::filesystem::path& folder,
                   const DenoisingNetwork& network,
                   const NamedTensors& weights,
                   const SchedulerConfig& scheduler,
                   const ClassList& classes = {});

}  // namespace sfumato
