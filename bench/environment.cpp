#include "bench/environment.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <fstream>

#include "bench/roofline.h"
#include "tensor/backend/backend.h"
#include "tensor/backend/info.h"
#include "tensor/parallel.h"

namespace sfumato::bench {

std::string cpu_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != line.npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

std::map<std::string, std::string> machine_context() {
  return {{"cpu", cpu_model()},
          {"num_cpus", std::to_string(benchmark::CPUInfo::Get().num_cpus)},
          {"threads", std::to_string(num_threads())},
          {"instruction_set", instruction_set_name()},
          {"backend", backend() == Backend::fast ? "fast" : "reference"}};
}

void add_context() {
  for (const auto& [key, value] : machine_context()) {
    if (key != "num_cpus") {  // Google Benchmark tells it anyway
      benchmark::AddCustomContext(key, value);
    }
  }
  benchmark::AddCustomContext("onednn", onednn_version());
  benchmark::AddCustomContext("compiler", __VERSION__);
  const Roofline& roof = roofline();
  benchmark::AddCustomContext("fma_peak_GFLOP/s", fmt::format("{:.0f}", roof.flops_per_second * 1e-9));
  benchmark::AddCustomContext("triad_GB/s", fmt::format("{:.1f}", roof.bytes_per_second * 1e-9));
  benchmark::AddCustomContext("triad_in_last_cache_GB/s", fmt::format("{:.0f}", roof.cache_bytes_per_second * 1e-9));
}

}  // namespace sfumato::bench
