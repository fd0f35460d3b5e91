// Whole steps of the two networks that speed is judged by.
//
// train_step/<config>/<batch>: one micro-batch of that size: drawing t and noise, q_sample, forward in train mode with
// dropout 0.1, MSE, backward, clip 1.0, Adam, EMA. denoise/<config>/<batch>: one forward pass in eval mode.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/registry.h"
#include "diffusion/pipeline/model_folder.h"
#include "diffusion/samplers/denoiser.h"
#include "diffusion/train/trainer.h"
#include "tensor/allocator.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct UNetCase {
  const char* name;
  int64_t batch;
  Shape image;
  std::vector<int64_t> widths;
  std::vector<bool> attention;
};

// cifar10_ddpm: Ho et al. 2020, 35,746,307 parameters. small32: 3,939,393 parameters.
const std::vector<UNetCase>& cases() {
  static const std::vector<UNetCase> list = {
      {"cifar10_ddpm", 16, {3, 32, 32}, {128, 256, 256, 256}, {false, true, false, false}},
      {"small32", 64, {1, 32, 32}, {32, 64, 128}, {false, false, true}},
  };
  return list;
}

TrainConfig config_of(const UNetCase& c) {
  TrainConfig config;
  config.batch_size = c.batch;
  config.micro_batch = c.batch;
  config.block_out_channels = c.widths;
  config.attention = c.attention;
  config.dropout = 0.1;
  config.ema_warmup = false;
  return config;
}

Tensor images(const UNetCase& c) { return randn({c.batch, c.image[0], c.image[1], c.image[2]}, "bench-images"); }

void set_counters(benchmark::State& state, const UNetCase& c) {
  state.counters["images/s"] =
      benchmark::Counter(static_cast<double>(c.batch), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["peak_MB"] = static_cast<double>(allocator_stats().peak_bytes) / 1e6;
}

void train_step(benchmark::State& state, const UNetCase& c) {
  Trainer trainer(config_of(c), c.image);
  const Tensor x0 = images(c);
  trainer.step(x0);  // builds primitives and fills the allocator's cache
  reset_peak();
  for (auto _ : state) {
    benchmark::DoNotOptimize(trainer.step(x0).loss);
  }
  set_counters(state, c);
}

void denoise(benchmark::State& state, const UNetCase& c) {
  Trainer trainer(config_of(c), c.image);
  trainer.unet().eval();
  const Denoiser denoiser = denoiser_of(trainer.unet());
  const Tensor x = images(c);
  const Tensor t = full({c.batch}, 500);
  denoiser(x, t);
  reset_peak();
  for (auto _ : state) {
    benchmark::DoNotOptimize(denoiser(x, t).raw_data());
  }
  set_counters(state, c);
}

}  // namespace

void register_unet() {
  for (const UNetCase& c : cases()) {
    const auto add = [&c](const char* family, void (*body)(benchmark::State&, const UNetCase&)) {
      benchmark::RegisterBenchmark(fmt::format("{}/{}/{}", family, c.name, c.batch).c_str(),
                                   [&c, body](benchmark::State& state) { body(state, c); })
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    };
    add("train_step", train_step);
    add("denoise", denoise);
  }
}

}  // namespace sfumato::bench
