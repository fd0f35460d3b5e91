// Model folders in diffusers' layout, which DDPMPipeline.from_pretrained loads:
//
//   model_index.json
//   unet/config.json
//   unet/diffusion_pytorch_model.safetensors
//   scheduler/scheduler_config.json
//
//   Pipeline pipeline = load_pipeline("run/model");
//   Tensor images = sample_images(pipeline, {.num = 16, .seed = 1});
//
// A folder written here depends on the weights and configurations alone: no times, paths or hosts.
#pragma once

#include <filesystem>
#include <memory>

#include "diffusion/model/unet.h"
#include "diffusion/samplers/denoiser.h"
#include "diffusion/schedule/scheduler_config.h"

namespace sfumato {

// A network with the schedule that it was trained on.
struct Pipeline {
  std::unique_ptr<UNet> unet;
  SchedulerConfig scheduler;
};

// Reads a pipeline folder, or a bare U-Net folder (config.json beside the weights; the scheduler is then Ho et al.'s).
// Throws MissingInput when a file is not there, FormatError or Error when one is broken or asks for something that is
// not supported.
Pipeline load_pipeline(const std::filesystem::path& folder);

// Writes the whole folder beside its final place and renames it, so that `folder` is never half a model; an existing
// one is replaced. Throws IoError.
void save_pipeline(const std::filesystem::path& folder,
                   const UNetConfig& unet,
                   const NamedTensors& weights,
                   const SchedulerConfig& scheduler);

// The network as samplers want it: evaluated without recording.
Denoiser denoiser_of(const UNet& unet);

}  // namespace sfumato
