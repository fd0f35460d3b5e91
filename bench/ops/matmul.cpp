// Matrix products: a square one, and those of the U-Net's attention.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/registry.h"
#include "tensor/ops/matmul.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct MatmulShape {
  int64_t batch, m, k, n;
};

constexpr MatmulShape kShapes[] = {{1, 1024, 1024, 1024}, {16, 256, 256, 256}, {64, 49, 96, 49}, {1, 128, 512, 256}};

void run(benchmark::State& state, const MatmulShape& s) {
  const Tensor a = randn({s.batch, s.m, s.k}, "bench-a");
  const Tensor b = randn({s.batch, s.k, s.n}, "bench-b");
  for (auto _ : state) {
    benchmark::DoNotOptimize(matmul(a, b).raw_data());
  }
  const double flops = 2.0 * static_cast<double>(s.batch * s.m * s.k * s.n);
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}

}  // namespace

void register_matmul() {
  for (const MatmulShape& shape : kShapes) {
    const std::string name = fmt::format("matmul/{}x{}x{}x{}", shape.batch, shape.m, shape.k, shape.n);
    benchmark::RegisterBenchmark(name.c_str(), [shape](benchmark::State& state) { run(state, shape); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace sfumato::bench
