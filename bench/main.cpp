// Benchmarks of Sfumato. stdout holds Google Benchmark's output alone; real time throughout.
//
//   sfumato_bench --benchmark_filter='train_step/.*' --benchmark_repetitions=3
//   sfumato_bench --benchmark_format=json > results.json
#include <benchmark/benchmark.h>

#include <string>

#include "bench/registry.h"
#include "tensor/backend/info.h"
#include "tensor/parallel.h"

int main(int argc, char** argv) {
  benchmark::AddCustomContext("instruction_set", sfumato::instruction_set_name());
  benchmark::AddCustomContext("onednn", sfumato::onednn_version());
  benchmark::AddCustomContext("threads", std::to_string(sfumato::num_threads()));
  sfumato::bench::register_conv();
  sfumato::bench::register_matmul();
  sfumato::bench::register_norm();
  sfumato::bench::register_unet();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
