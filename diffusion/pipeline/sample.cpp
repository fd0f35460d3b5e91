#include "diffusion/pipeline/sample.h"

#include "diffusion/guidance/guidance.h"
#include "diffusion/samplers/table.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

const NamedSampler& resolve_sampler(const SchedulerConfig& scheduler, const SampleOptions& options) {
  if (!options.sampler.empty()) return find_sampler(options.sampler);
  if (scheduler.class_name == "DPMSolverMultistepScheduler") return multistep_solver();
  return find_sampler(scheduler.class_name == "DDPMScheduler" ? "ddpm" : "ddim");
}

// What the configuration says; and what it does not say as the sampler's own class of scheduler would have it, which is
// how diffusers turns one scheduler into another (DDIMPipeline does so with whatever a folder holds).
SamplerSettings settings_of(const SchedulerConfig& scheduler,
                            const SampleOptions& options,
                            const NamedSampler& sampler,
                            int64_t steps) {
  const bool on_timesteps = sampler.name == "ddpm" || sampler.name == "ddim";
  const TimestepSpacing spacing =
      !scheduler.timestep_spacing_given && on_timesteps ? TimestepSpacing::leading : scheduler.timestep_spacing;
  PredictionOptions prediction = scheduler.prediction_options();
  if (!scheduler.clip_sample_given && on_timesteps) prediction.clip_sample = true;
  return {.steps = steps,
          .spacing = options.spacing.empty() ? std::string(name_of(spacing)) : options.spacing,
          .steps_offset = scheduler.steps_offset,
          .prediction = prediction,
          .variance = scheduler.variance_type,
          .eta = options.eta,
          .set_alpha_to_one = scheduler.set_alpha_to_one,
          .multistep = &scheduler.multistep};
}

// One network call should be long against its overheads, and padding the last chunk cheap: images go by 8, points by
// the thousand. A function of the sample's shape alone, because the bits of a sample depend on the chunk.
int64_t default_chunk(const Shape& sample) { return sample.rank() > 1 ? 8 : 1024; }

// Rows first..first + chunk of the start, padded with zeros where it ends.
Tensor start_of(const SampleOptions& options, const Shape& chunk_shape, int64_t first) {
  if (!options.x_T.defined()) {
    return initial_noise(chunk_shape, options.seed, first);
  }
  Tensor start = zeros(chunk_shape);
  const int64_t rows = std::min(chunk_shape[0], options.x_T.size(0) - first);
  narrow(start, 0, 0, rows).copy_from(narrow(options.x_T, 0, first, rows));
  return start;
}

// The network for rows first..first + chunk_size: their labels, padded with the last one where they end.
Denoiser denoiser_for(const DenoisingNetwork& network,
                      const SampleOptions& options,
                      int64_t first,
                      int64_t chunk_size) {
  if (!options.labels.defined()) {
    return denoiser_of(network);
  }
  const int64_t rows = std::min(chunk_size, options.labels.numel() - first);
  Tensor labels = full({chunk_size}, select(options.labels, 0, first + rows - 1).item(), DType::i64);
  narrow(labels, 0, 0, rows).copy_from(narrow(options.labels, 0, first, rows));
  if (options.guidance_scale == 1) {
    return denoiser_of(network, labels);
  }
  check(options.null_label.has_value(), "sample: guidance needs the label that means no class, which is not known");
  return guided(network, labels, *options.null_label, options.guidance_scale);
}

// How many of `num` samples a rank draws.
int64_t share_of(int64_t num, int64_t chunk_size, int64_t rank, int64_t ranks) {
  int64_t share = 0;
  for (int64_t first = rank * chunk_size; first < num; first += ranks * chunk_size) {
    share += std::min(chunk_size, num - first);
  }
  return share;
}

}  // namespace

Tensor draw_samples(const DenoisingNetwork& network, const SchedulerConfig& scheduler, const SampleOptions& options) {
  const int64_t num = options.x_T.defined() ? options.x_T.size(0) : options.num;
  check(num >= 0, "sample: the number of images must not be negative, got ", num);
  check(options.chunk >= 0, "sample: the chunk must not be negative, got ", options.chunk);
  check(!options.labels.defined() || options.labels.shape() == Shape{num}, "sample: labels must be (", num, "), got ",
        options.labels.defined() ? options.labels.shape() : Shape{});
  const int64_t chunk_size = options.chunk > 0 ? options.chunk : default_chunk(network.sample_shape());
  // A start may have another height and width than the network was made for.
  Shape shape = options.x_T.defined() ? options.x_T.shape() : network.sample_shape();
  if (!options.x_T.defined()) {
    shape.insert(0, num);
  }
  const NamedSampler& sampler = resolve_sampler(scheduler, options);
  const NoiseSchedule schedule = scheduler.make_schedule(TablePrecision::f32);
  const int64_t steps = steps_of(sampler, options.steps, schedule.num_timesteps());
  SamplerSettings settings = settings_of(scheduler, options, sampler, steps);

  Tensor samples = Tensor::empty(shape);
  shape[0] = chunk_size;
  const int64_t ranks = options.group != nullptr ? options.group->size() : 1;
  const int64_t rank = options.group != nullptr ? options.group->rank() : 0;
  const int64_t of_all = num * steps;
  const int64_t mine = share_of(num, chunk_size, rank, ranks) * steps;
  int64_t before = 0;  // of mine
  for (int64_t first = rank * chunk_size; first < num; first += ranks * chunk_size) {
    const Tensor start = start_of(options, shape, first);
    const Denoiser denoiser = denoiser_for(network, options, first, chunk_size);
    const int64_t rows = std::min(chunk_size, num - first);
    settings.noise = step_noise(options.seed, first);
    if (options.progress) {
      settings.progress = [&](int64_t done, int64_t all) {
        options.progress((before + done * steps / all * rows) * of_all / mine, of_all);
      };
    }
    const Tensor chunk = sampler.run(denoiser, schedule, start, settings);
    narrow(samples, 0, first, rows).copy_from(narrow(chunk, 0, 0, rows));
    before += rows * steps;
  }
  if (ranks > 1) {
    for (int64_t first = 0; first < num; first += chunk_size) {
      Tensor chunk = narrow(samples, 0, first, std::min(chunk_size, num - first));
      options.group->broadcast(chunk.mutable_raw_data(), static_cast<size_t>(chunk.numel()) * size_of(chunk.dtype()),
                               static_cast<int>(first / chunk_size % ranks));
    }
  }
  return samples;
}

Tensor draw_samples(const Pipeline& pipeline, const SampleOptions& options) {
  return draw_samples(*pipeline.network, pipeline.scheduler, options);
}

}  // namespace sfumato
