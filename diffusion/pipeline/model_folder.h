// Model folders in diffusers' layout, which DDPMPipeline.from_pretrained loads:
//
//   model_index.json
//   unet/config.json
//   unet/diffusion_pytorch_model.safetensors
//   scheduler/scheduler_config.json
//
// A network that diffusers does not have (MlpDenoiser) is laid out alike in a folder of its own (`mlp/` instead of
// `unet/`), and model_index.json says that its class is ours.
//
//   Pipeline pipeline = load_pipeline("run/model");
//   Tensor images = draw_samples(pipeline, {.num = 16, .seed = 1});
//
// A folder written here depends on the weights and configurations alone: no times, paths or hosts.
#pragma once

#include <filesystem>
#include <memory>

#include "diffusion/model/network.h"
#include "diffusion/samplers/denoiser.h"
#include "diffusion/schedule/scheduler_config.h"

namespace sfumato {

// A network with the schedule that it was trained on.
struct Pipeline {
  std::unique_ptr<DenoisingNetwork> network;
  SchedulerConfig scheduler;
};

// Reads a pipeline folder, a run directory (its model/), or a bare network folder (config.json beside the weights; the
// scheduler is then Ho et al.'s). Throws MissingInput when a file is not there, FormatError or Error when one is broken
// or asks for something that is not supported.
Pipeline load_pipeline(const std::filesystem::path& folder);

// Writes `network`'s configuration with `weights` (the EMA's, say) under its names. The whole folder is built beside
// its final place and renamed, so that `folder` is never half a model; an existing one is replaced. Throws IoError.
void save_pipeline(const std::filesystem::path& folder,
                   const DenoisingNetwork& network,
                   const NamedTensors& weights,
                   const SchedulerConfig& scheduler);

// The network as samplers want it: evaluated without recording.
Denoiser denoiser_of(const DenoisingNetwork& network);

}  // namespace sfumato
