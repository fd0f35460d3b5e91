// What every benchmark here has in common: a warm-up, real time, and the counters.
//
//   add_benchmark("softmax/4096x256", benchmark::kMicrosecond, [](benchmark::State& state) {
//     const Tensor x = randn({4096, 256}, "x");
//     measure(state, [&] { return softmax(x, -1); });
//   });
//
// Counters: `GFLOP/s` and `bytes/s` of what the ops report as their cost ("tensor/cost.h": multiply-adds count two,
// each operand moves once), `roofline_%`, the share that the time at the roof has in the time taken, and `peak_MB`, the
// most that the tensors of a benchmark took at once, its inputs included.
#pragma once

#include <benchmark/benchmark.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>

namespace sfumato::bench {

using Body = std::function<void(benchmark::State&)>;

// Registers a benchmark measured in real time. One that throws is reported with its message, and the others go on.
void add_benchmark(const std::string& name, benchmark::TimeUnit unit, const Body& body);
// Whether any did.
bool any_failed();

// What one iteration does.
struct Work {
  double flops = 0;
  double bytes = 0;
  double roof_seconds = 0;  // the least time it can take: the sum over its ops, each at its own roof

  void add_op(double op_flops, double op_bytes);
};

// Runs f once and adds up what its ops report.
Work work_of(const std::function<void()>& f);
// Of one op that does not report it.
Work work_of(double flops, double bytes);

// For the templates below: rates from the time that all iterations took, and the peak since begin_peak().
void report_rates(benchmark::State& state, const Work& work, double seconds);
void begin_peak();
void report_peak(benchmark::State& state);

// Times f, whose result (a tensor, say) is dropped within the time measured, as it is in a program.
template <class F>
void measure_rates(benchmark::State& state, const Work& work, F&& f) {
  const auto begin = std::chrono::steady_clock::now();
  for (auto _ : state) {
    f();
  }
  report_rates(state, work, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
}

// The same with the memory that its tensors take.
template <class F>
void measure(benchmark::State& state, const Work& work, F&& f) {
  begin_peak();
  measure_rates(state, work, std::forward<F>(f));
  report_peak(state);
}

// The same with the work that the ops of f report in a call before, which also makes primitives and warms caches.
template <class F>
void measure(benchmark::State& state, F&& f) {
  const Work work = work_of([&] { f(); });
  measure(state, work, std::forward<F>(f));
}

}  // namespace sfumato::bench
