// Convolutions at the U-Nets' shapes: the three passes, from and to plain NCHW.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "bench/registry.h"
#include "tensor/ops/conv.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct ConvShape {
  int64_t batch, in, out, size;
};

constexpr ConvShape kShapes[] = {
    {16, 128, 128, 32}, {16, 256, 256, 16}, {16, 256, 256, 8}, {16, 512, 256, 8},
    {64, 32, 32, 28},   {64, 64, 64, 14},   {64, 128, 128, 7},
};

// Multiply-adds count two.
double flops_of(const ConvShape& s) { return 2.0 * 9 * static_cast<double>(s.batch * s.in * s.out * s.size * s.size); }

void set_rate(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1000);
}

void add(const std::string& pass, const ConvShape& s, void (*body)(benchmark::State&, const ConvShape&)) {
  const std::string name = fmt::format("conv/{}/{}x{}-{}@{}", pass, s.batch, s.in, s.out, s.size);
  benchmark::RegisterBenchmark(name.c_str(),
                               [=](benchmark::State& state) {
                                 body(state, s);
                                 set_rate(state, flops_of(s));
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void forward(benchmark::State& state, const ConvShape& s) {
  const Tensor x = randn({s.batch, s.in, s.size, s.size}, "bench-x");
  const Tensor w = randn({s.out, s.in, 3, 3}, "bench-w");
  for (auto _ : state) {
    benchmark::DoNotOptimize(conv2d(x, w, {}, {.padding = 1}).raw_data());
  }
}

void backward_input(benchmark::State& state, const ConvShape& s) {
  const Tensor dy = randn({s.batch, s.out, s.size, s.size}, "bench-x");
  const Tensor w = randn({s.out, s.in, 3, 3}, "bench-w");
  for (auto _ : state) {
    const Tensor dx = conv2d_backward_input(dy, w, {s.batch, s.in, s.size, s.size}, {.padding = 1});
    benchmark::DoNotOptimize(dx.raw_data());
  }
}

void backward_weight(benchmark::State& state, const ConvShape& s) {
  const Tensor x = randn({s.batch, s.in, s.size, s.size}, "bench-x");
  const Tensor dy = randn({s.batch, s.out, s.size, s.size}, "bench-y");
  for (auto _ : state) {
    const Tensor dw = conv2d_backward_weight(x, dy, {s.out, s.in, 3, 3}, {.padding = 1});
    benchmark::DoNotOptimize(dw.raw_data());
  }
}

}  // namespace

void register_conv() {
  for (const ConvShape& shape : kShapes) {
    add("forward", shape, forward);
    add("backward_input", shape, backward_input);
    add("backward_weight", shape, backward_weight);
  }
}

}  // namespace sfumato::bench
