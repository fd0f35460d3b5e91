// Whole steps of the two networks that speed is judged by.
//
// train_step/<config>/<batch>: one micro-batch of that size: drawing t and noise, q_sample, forward in train mode with
// dropout 0.1, MSE, backward, clip 1.0, Adam, EMA. denoise/<config>/<batch>: one forward pass in eval mode, the network
// alone in memory.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/measure.h"
#include "bench/registry.h"
#include "bench/resident.h"
#include "diffusion/guidance/guidance.h"
#include "diffusion/samplers/denoiser.h"
#include "diffusion/train/trainer.h"
#include "nn/init.h"
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
  state.counters["peak_rss_MB"] = peak_resident_bytes() * 1e-6;
}

void train_step(benchmark::State& state, const UNetCase& c) {
  begin_peak_resident();
  Trainer trainer(config_of(c), c.image);
  const Tensor x0 = images(c);
  measure(state, [&] { trainer.step(x0); });
  set_counters(state, c);
}

void denoise(benchmark::State& state, const UNetCase& c) {
  begin_peak_resident();
  const auto network = config_of(c).make_network(c.image);
  initialize(*network, /*seed=*/0);
  network->eval();
  const Denoiser denoiser = denoiser_of(*network);
  const Tensor x = images(c);
  const Tensor t = full({c.batch}, 500);
  measure(state, [&] { return denoiser(x, t); });
  set_counters(state, c);
}

}  // namespace

void register_unet() {
  for (const UNetCase& c : cases()) {
    const auto add = [&c](const char* family, void (*body)(benchmark::State&, const UNetCase&)) {
      add_benchmark(fmt::format("{}/{}/{}", family, c.name, c.batch), benchmark::kMillisecond,
                    [&c, body](benchmark::State& state) { body(state, c); });
    };
    add("train_step", train_step);
    add("denoise", denoise);
  }
}

}  // namespace sfumato::bench
