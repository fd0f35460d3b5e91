// Group norm with SiLU, forward and backward, and softmax.
#include <benchmark/benchmark.h>

#include "bench/registry.h"
#include "tensor/ops/norm.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

void group_norm_silu(benchmark::State& state) {
  const GroupNormOptions options{.num_groups = 32, .eps = 1e-6, .silu = true};
  const Tensor x = randn({16, 128, 32, 32}, "bench-x");
  const Tensor dy = randn({16, 128, 32, 32}, "bench-y");
  const Tensor weight = ones({128});
  const Tensor bias = zeros({128});
  for (auto _ : state) {
    const GroupNormResult y = group_norm(x, weight, bias, options);
    benchmark::DoNotOptimize(group_norm_backward(dy, x, y.mean, y.rstd, weight, bias, options).dx.raw_data());
  }
}

void softmax_rows(benchmark::State& state) {
  const Tensor x = randn({4096, 256}, "bench-x");
  for (auto _ : state) {
    benchmark::DoNotOptimize(softmax(x, -1).raw_data());
  }
}

}  // namespace

void register_norm() {
  benchmark::RegisterBenchmark("group_norm_silu/forward_backward/16x128x32x32", group_norm_silu)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("softmax/4096x256", softmax_rows)->UseRealTime()->Unit(benchmark::kMicrosecond);
}

}  // namespace sfumato::bench
