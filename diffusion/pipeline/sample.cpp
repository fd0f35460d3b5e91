#include "diffusion/pipeline/sample.h"

#include "diffusion/samplers/ancestral.h"
#include "diffusion/samplers/ddim.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

std::string resolve_sampler(const SchedulerConfig& scheduler, const SampleOptions& options) {
  if (!options.sampler.empty()) {
    check(options.sampler == "ddpm" || options.sampler == "ddim", "sample: unknown sampler '", options.sampler,
          "' (ddpm and ddim are there)");
    return options.sampler;
  }
  return scheduler.class_name == "DDPMScheduler" ? "ddpm" : "ddim";
}

// One network call should be long against its overheads, and padding the last chunk cheap: images go by 16, points by
// the thousand. A function of the sample's shape alone, because the bits of a sample depend on the chunk.
int64_t default_chunk(const Shape& sample) { return sample.rank() > 1 ? 16 : 1024; }

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

}  // namespace

Tensor draw_samples(const DenoisingNetwork& network, const SchedulerConfig& scheduler, const SampleOptions& options) {
  const int64_t num = options.x_T.defined() ? options.x_T.size(0) : options.num;
  check(num >= 0, "sample: the number of images must not be negative, got ", num);
  check(options.chunk >= 0, "sample: the chunk must not be negative, got ", options.chunk);
  const int64_t chunk_size = options.chunk > 0 ? options.chunk : default_chunk(network.sample_shape());
  // A start may have another height and width than the network was made for.
  Shape shape = options.x_T.defined() ? options.x_T.shape() : network.sample_shape();
  if (!options.x_T.defined()) {
    shape.insert(0, num);
  }
  const std::string sampler = resolve_sampler(scheduler, options);
  const NoiseSchedule schedule = scheduler.make_schedule(TablePrecision::f32);
  const int64_t steps = options.steps > 0 ? options.steps : sampler == "ddpm" ? schedule.num_timesteps() : 50;
  const Denoiser denoiser = denoiser_of(network);

  Tensor samples = Tensor::empty(shape);
  shape[0] = chunk_size;
  for (int64_t first = 0; first < num; first += chunk_size) {
    const Tensor start = start_of(options, shape, first);
    const int64_t rows = std::min(chunk_size, num - first);
    const StepCallback on_step = [&](const SamplerStep& step) {
      if (options.progress) {
        options.progress(first * steps + (step.index + 1) * rows, num * steps);
      }
    };
    Tensor chunk;
    if (sampler == "ddpm") {
      AncestralOptions ancestral = scheduler.ancestral_options(steps);
      ancestral.noise = step_noise(options.seed, first);
      ancestral.on_step = on_step;
      chunk = ancestral_sample(denoiser, schedule, start, ancestral);
    } else {
      DdimOptions ddim = scheduler.ddim_options(steps, options.eta);
      ddim.noise = step_noise(options.seed, first);
      ddim.on_step = on_step;
      chunk = ddim_sample(denoiser, schedule, start, ddim);
    }
    narrow(samples, 0, first, rows).copy_from(narrow(chunk, 0, 0, rows));
  }
  return samples;
}

Tensor draw_samples(const Pipeline& pipeline, const SampleOptions& options) {
  return draw_samples(*pipeline.network, pipeline.scheduler, options);
}

}  // namespace sfumato
