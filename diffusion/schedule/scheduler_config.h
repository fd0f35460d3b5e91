// scheduler_config.json, as diffusers writes it beside a network: what its training schedule was and how it samples.
//
//   SchedulerConfig config = load_scheduler_config(model / "scheduler" / "scheduler_config.json");
//   Tensor images = ddim_sample(denoiser, config.make_schedule(), x_T, config.ddim_options(/*steps=*/50));
//   save_scheduler_config(path, config);
//
// Read and written, with every field, in diffusers' layout: DDPMScheduler, DDIMScheduler and
// DPMSolverMultistepScheduler. The class says how a file is written and which sampler is the usual one; every sampler
// takes what it needs from any of them. A field that is unknown, or whose value asks for something that is not
// supported, is refused by name and value; a missing field has its class's default.
#pragma once

#include <filesystem>
#include <limits>
#include <string>
#include <string_view>

#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "diffusion/schedule/noise_schedule.h"

namespace sfumato {

// Fields that DPMSolverMultistepScheduler alone has, under their names: which of its update rules are used.
struct MultistepConfig {
  std::string algorithm_type = "dpmsolver++";  // dpmsolver, dpmsolver++, sde-dpmsolver, sde-dpmsolver++
  int64_t solver_order = 2;                    // 1..3
  std::string solver_type = "midpoint";        // or heun
  bool lower_order_final = true;
  bool euler_at_final = false;
  std::string final_sigmas_type = "zero";  // or sigma_min
  double lambda_min_clipped = -std::numeric_limits<double>::infinity();
  double flow_shift = 1;
  std::string time_shift_type = "exponential";
};

struct SchedulerConfig {
  std::string class_name = "DDPMScheduler";
  std::string diffusers_version = "0.40.0.dev0";

  ScheduleConfig schedule;
  PredictionType prediction_type = PredictionType::epsilon;
  TimestepSpacing timestep_spacing = TimestepSpacing::leading;
  int64_t steps_offset = 0;
  bool clip_sample = true;
  double clip_sample_range = 1;
  // Whether the file had these two, whose defaults the multistep solver (linspace, no clipping: it cannot) does not
  // share with the other classes (leading, clipping). What it did not have, another class's sampler takes as its own
  // class would ("diffusion/pipeline/sample.h").
  bool timestep_spacing_given = true;
  bool clip_sample_given = true;

  VarianceType variance_type = VarianceType::fixed_small;  // DDPMScheduler; of the multistep solver, if it is learned
  bool set_alpha_to_one = true;                            // DDIMScheduler

  MultistepConfig multistep = {};  // DPMSolverMultistepScheduler

  bool thresholding = false;  // see PredictionOptions
  double dynamic_thresholding_ratio = 0.995;
  double sample_max_value = 1;

  NoiseSchedule make_schedule(TablePrecision precision = TablePrecision::f64) const {
    return sfumato::make_schedule(schedule, precision);
  }
  // Throws Error naming the rule that a field breaks.
  void validate() const;
  // Samplers set up as the configuration says; `steps` 0 means one per training timestep.
  PredictionOptions prediction_options() const;
  AncestralOptions ancestral_options(int64_t steps = 0) const;
  DdimOptions ddim_options(int64_t steps = 0, double eta = 0) const;
};

// Throws FormatError (tensor/io/safetensors.h) naming `origin` when the text is no such JSON, names an unknown field or
// asks for something not supported. -Infinity, Infinity and NaN are accepted, as Python writes them.
SchedulerConfig parse_scheduler_config(std::string_view json, std::string_view origin = "scheduler_config.json");
// Also throws IoError when the file cannot be read.
SchedulerConfig load_scheduler_config(const std::filesystem::path& path);

// Two-space indent, sorted keys, a newline at the end. Throws for a class that is not known.
std::string to_json(const SchedulerConfig& config);
// Throws IoError when the file cannot be written.
void save_scheduler_config(const std::filesystem::path& path, const SchedulerConfig& config);

}  // namespace sfumato
