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

Tensor sample_images(const UNet& unet, const SchedulerConfig& scheduler, const SampleOptions& options) {
  const UNetConfig& config = unet.config();
  const int64_t num = options.x_T.defined() ? options.x_T.size(0) : options.num;
  check(num >= 0, "sample: the number of images must not be negative, got ", num);
  check(options.chunk >= 1, "sample: the chunk must be at least 1, got ", options.chunk);
  const Shape image = options.x_T.defined() ? Shape{options.x_T.size(1), options.x_T.size(2), options.x_T.size(3)}
                                            : Shape{config.in_channels, config.sample_size, config.sample_size};
  const std::string sampler = resolve_sampler(scheduler, options);
  const NoiseSchedule schedule = scheduler.make_schedule(TablePrecision::f32);
  const int64_t steps = options.steps > 0 ? options.steps : sampler == "ddpm" ? schedule.num_timesteps() : 50;
  const Denoiser denoiser = denoiser_of(unet);

  Tensor images = Tensor::empty({num, image[0], image[1], image[2]});
  for (int64_t first = 0; first < num; first += options.chunk) {
    const Shape chunk_shape{options.chunk, image[0], image[1], image[2]};
    const Tensor start = start_of(options, chunk_shape, first);
    const int64_t rows = std::min(options.chunk, num - first);
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
    narrow(images, 0, first, rows).copy_from(narrow(chunk, 0, 0, rows));
  }
  return images;
}

Tensor sample_images(const Pipeline& pipeline, const SampleOptions& options) {
  return sample_images(*pipeline.unet, pipeline.scheduler, options);
}

}  // namespace sfumato
