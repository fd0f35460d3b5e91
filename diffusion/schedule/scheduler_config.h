// scheduler_config.json, as diffusers writes it beside a network: what its training schedule was and how it samples.
//
//   SchedulerConfig config = load_scheduler_config(model / "scheduler" / "scheduler_config.json");
//   Tensor images = ddim_sample(denoiser, config.make_schedule(), x_T, config.ddim_options(/*steps=*/50));
//   save_scheduler_config(path, config);
//
// Read: DDPMScheduler, DDIMScheduler, and of DPMSolverMultistepScheduler the fields that all share. Written: the first
// two, with every field, in diffusers' layout. A field that is unknown, or whose value asks for something that is not
// supported, is refused by name; a missing field has its class's default.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/schedule/noise_schedule.h"

namespace sfumato {

struct SchedulerConfig {
  std::string class_name = "DDPMScheduler";
  std::string diffusers_version = "0.40.0.dev0";

  ScheduleConfig schedule;
  PredictionType prediction_type = PredictionType::epsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::leading;
  int64_t steps_offset = 0;
  bool clip_sample = true;
  double clip_sample_range = 1;

  VarianceType variance_type = VarianceType::fixed_small;  // DDPMScheduler
  bool set_alpha_to_one = true;                            // DDIMScheduler

  // Settings of thresholding, which is not supported: kept so that a file can be written as it was read.
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1;

  NoiseSchedule make_schedule(TablePrecision precision = TablePrecision::f64) const {
    return sfumato::make_schedule(schedule, precision);
  }
  // Samplers set up as the configuration says; `steps` 0 means one per training timestep.
  AncestralOptions ancestral_options(int64_t steps = 0) const;
  DdimOptions ddim_options(int64_t steps = 0, double eta = 0) const;
};

// Throws FormatError (tensor/io/safetensors.h) naming `origin` when the text is no such JSON, names an unknown field or
// asks for something not supported. -Infinity, Infinity and NaN are accepted, as Python writes them.
SchedulerConfig parse_scheduler_config(std::string_view json, std::string_view origin = "scheduler_config.json");
// Also throws IoError when the file cannot be read.
SchedulerConfig load_scheduler_config(const std::filesystem::path& path);

// Two-space indent, sorted keys, a newline at the end. Throws for a class that is only read.
std::string to_json(const SchedulerConfig& config);
// Throws IoError when the file cannot be written.
void save_scheduler_config(const std::filesystem::path& path, const SchedulerConfig& config);

}  // namespace sfumato
