#include "diffusion/train/plan.h"

#include <algorithm>
#include <chrono>
#include <string_view>

#include "diffusion/model/cost.h"
#include "diffusion/train/trainer.h"
#include "nn/data/loader.h"
#include "tensor/allocator.h"
#include "tensor/cost.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/matmul.h"

namespace sfumato {
namespace {

using Clock = std::chrono::steady_clock;

// The fastest of a few calls: what interrupts a call is not the machine's rate.
template <class F>
double fastest_seconds(int calls, F&& f) {
  double best = 1e30;
  for (int i = 0; i < calls; ++i) {
    const auto start = Clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

// Rough rates of each kernel relative to a large matrix product's, as this project's benchmarks showed them on one
// machine (Zen 4, two cores). Winograd counts the plain algorithm's arithmetic, of which it does less than a third.
double relative_rate(const OpCost& cost) {
  const std::string_view kernel = cost.kernel;
  return kernel == "winograd" ? 2.4 : kernel == "direct" ? 0.6 : 0.7;
}

constexpr double kSecondsPerOp = 3e-6;

double seconds_of(const OpCost& cost, const MachineRates& machine) {
  const double arithmetic = cost.flops / (machine.matmul_flops * relative_rate(cost));
  return kSecondsPerOp + std::max(arithmetic, cost.bytes / machine.bytes_per_second);
}

double matmul_rate() {
  constexpr int64_t n = 1024;
  const Tensor a = ones({n, n}), b = ones({n, n});
  return 2.0 * n * n * n / fastest_seconds(5, [&] { matmul(a, b); });
}

double memory_rate() {
  const Tensor x = ones({int64_t{16} << 20}), y = ones({int64_t{16} << 20});  // 64 MiB each
  return 3.0 * static_cast<double>(x.numel()) * sizeof(float) / fastest_seconds(5, [&] { add(x, y); });
}

}  // namespace

MachineRates measure_machine() {
  const MachineRates rates{.matmul_flops = matmul_rate(), .bytes_per_second = memory_rate()};
  trim();
  return rates;
}

StepPlan plan_step(const TrainConfig& config, const Shape& sample, const MachineRates& machine) {
  StepPlan plan;
  const auto network = config.make_network(sample);
  const ModuleCost forward = forward_cost(*network).front();
  plan.parameters = forward.parameters;
  plan.forward_macs = forward.flops / 2;

  const DryRunScope dry;
  trim();  // so that blocks kept from earlier work are not taken for free memory
  const size_t before = allocator_stats().live_bytes;
  Trainer trainer(config, sample);
  Shape batch = sample;
  batch.insert(0, config.batch_size);
  // As many batches as the loader holds: those read ahead, and the one in use.
  std::vector<Tensor> batches;
  for (int i = 0; i <= LoaderOptions{}.prefetch; ++i) {
    batches.push_back(Tensor::empty(batch));
  }
  // The copy that checkpoints are written from while training goes on.
  std::vector<Tensor> snapshot;
  if (config.checkpoint_every > 0) {
    const CheckpointContents contents = trainer.checkpoint();
    for (const NamedTensors* part : {&contents.weights, &contents.optimizer, &contents.ema}) {
      for (const auto& [name, tensor] : *part) {
        snapshot.push_back(tensor.clone());
      }
    }
  }
  const Tensor labels = config.class_conditional ? zeros({config.batch_size}, DType::i64) : Tensor();
  trainer.step(batches[0], labels);  // makes what is kept from step to step
  plan.state_bytes = allocator_stats().live_bytes - before;
  reset_peak();
  const CostScope listening([&](const OpCost& cost) {
    plan.step_flops += cost.flops;
    plan.step_bytes += cost.bytes;
    plan.seconds += seconds_of(cost, machine);
    ++plan.ops;
  });
  trainer.step(batches[0], labels);
  const AllocatorStats stats = allocator_stats();
  plan.peak_bytes = stats.peak_bytes - before;
  plan.reserved_bytes = stats.live_bytes + stats.cached_bytes - before;
  return plan;
}

}  // namespace sfumato
