// What a measurement depends on, told to Google Benchmark as its context: printed above the results and kept in files.
//
//   add_context();                  // measures the roofline
//   benchmark::RunSpecifiedBenchmarks();
#pragma once

#include <map>
#include <string>

namespace sfumato::bench {

// cpu, num_cpus, threads, instruction_set, backend: with other values of these, times cannot be compared.
std::map<std::string, std::string> machine_context();

// That, the versions of the compiler and of oneDNN, and the two roofs.
void add_context();

// "AMD EPYC 9454 48-Core Processor" where /proc/cpuinfo says so, else "unknown".
std::string cpu_model();

}  // namespace sfumato::bench
