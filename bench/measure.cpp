#include "bench/measure.h"

#include <exception>

#include "bench/roofline.h"
#include "tensor/allocator.h"
#include "tensor/cost.h"

namespace sfumato::bench {
namespace {

bool failed = false;

void run_guarded(benchmark::State& state, const Body& body) {
  try {
    body(state);
  } catch (const std::exception& error) {
    failed = true;
    state.SkipWithError(error.what());
  }
}

}  // namespace

void add_benchmark(const std::string& name, benchmark::TimeUnit unit, const Body& body) {
#ifndef __clang_analyzer__  // which takes for a leak what Google Benchmark's registry owns
  benchmark::RegisterBenchmark(name.c_str(), [body](benchmark::State& state) { run_guarded(state, body); })
      ->UseRealTime()
      ->Unit(unit);
#endif
}

bool any_failed() { return failed; }

void Work::add_op(double op_flops, double op_bytes) {
  flops += op_flops;
  bytes += op_bytes;
  roof_seconds += roofline().seconds(op_flops, op_bytes);
}

Work work_of(const std::function<void()>& f) {
  Work work;
  const CostScope scope([&](const OpCost& cost) { work.add_op(cost.flops, cost.bytes); });
  f();
  return work;
}

Work work_of(double flops, double bytes) {
  Work work;
  work.add_op(flops, bytes);
  return work;
}

void report_rates(benchmark::State& state, const Work& work, double seconds) {
  const auto iterations = static_cast<double>(state.iterations());
  // Rates are set as plain values: Google Benchmark would print "GFLOP/s=205/s" for its own.
  if (work.flops > 0) {
    state.counters["GFLOP/s"] = work.flops * iterations / seconds * 1e-9;
  }
  if (work.bytes > 0) {
    state.counters["bytes/s"] = work.bytes * iterations / seconds;
  }
  if (work.roof_seconds > 0) {
    state.counters["roofline_%"] = 100 * work.roof_seconds * iterations / seconds;
  }
}

void begin_peak() { reset_peak(); }

void report_peak(benchmark::State& state) {
  state.counters["peak_MB"] = static_cast<double>(allocator_stats().peak_bytes) * 1e-6;
}

}  // namespace sfumato::bench
