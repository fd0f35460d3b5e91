// The fuzzer's command: spoiled files by the million, the same ones for the same seed.
//
//   sfumato_fuzz all                               every format, 100,000 inputs each: what CI runs
//   sfumato_fuzz safetensors --count 50000000 --seed 2
//   sfumato_fuzz png --seed 1 --only 4711          one input alone; --save FILE writes it
//   sfumato_fuzz png --file FILE                   a file of somebody else's
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <stdexcept>

#include "tensor/io/file.h"
#include "tests/fuzz/memory_meter.h"
#include "tests/fuzz/run.h"

namespace sfumato::fuzz {
namespace {

struct Arguments {
  std::string format, save, file;
  RunOptions run;
  std::optional<uint64_t> only;
};

int usage() {
  std::fputs(
      "usage: sfumato_fuzz FORMAT|all [--count N] [--seed S] [--first I] [--only I [--save FILE]] [--file FILE]\n"
      "formats:",
      stderr);
  for (const auto& format : formats()) std::fprintf(stderr, " %s", format->name().c_str());
  std::fputs("\n", stderr);
  return 2;
}

bool parse(int argc, char** argv, Arguments& arguments) {
  if (argc < 2 || argc % 2 != 0) return false;
  arguments.format = argv[1];
  for (int i = 2; i < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    const uint64_t number = std::strtoull(value, nullptr, 10);
    if (name == "--count") {
      arguments.run.count = number;
    } else if (name == "--seed") {
      arguments.run.seed = number;
    } else if (name == "--first") {
      arguments.run.first = number;
    } else if (name == "--only") {
      arguments.only = number;
    } else if (name == "--save") {
      arguments.save = value;
    } else if (name == "--file") {
      arguments.file = value;
    } else {
      return false;
    }
  }
  return arguments.format == "all" || find_format(arguments.format) != nullptr;
}

// At least so many inputs must get past the first check, or the rest of a reader is never tried.
constexpr double kLeastShare = 0.3;
constexpr uint64_t kEnoughToTell = 1000;

int run_format(const Format& format, const RunOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const Report report = run(format, options);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  std::printf(
      "fuzz %-12s %9llu inputs: %4.1f %% past the header, %4.1f %% accepted, %3zu kinds of message, peak %.1f MiB%s, "
      "%.0f s\n",
      format.name().c_str(), static_cast<unsigned long long>(report.inputs), 100 * report.header_share(),
      100 * report.accepted_share(), report.messages.size(), static_cast<double>(report.most_memory) / (1 << 20),
      MemoryMeter::sees_heap() ? "" : " of tensors", elapsed.count());
  std::fflush(stdout);
  if (!report.finding.empty()) {
    std::printf("FINDING: %s: %s\n", format.name().c_str(), report.finding.c_str());
    return 1;
  }
  if (report.inputs >= kEnoughToTell && report.header_share() < kLeastShare) {
    std::printf("FINDING: %s: fewer than %.0f %% get past the header\n", format.name().c_str(), 100 * kLeastShare);
    return 1;
  }
  return 0;
}

int try_one(const Format& format, const std::string& input, const std::string& save) {
  if (!save.empty()) std::ofstream(save, std::ios::binary) << input;
  size_t memory = 0;
  const std::string message = try_input(format, input, &memory);
  std::printf("%zu bytes, %zu of memory: %s\n", input.size(), memory, message.empty() ? "accepted" : message.c_str());
  return 0;
}

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) return usage();
  int failures = 0;
  for (const auto& format : formats()) {
    if (arguments.format != "all" && arguments.format != format->name()) continue;
    if (!arguments.file.empty()) {
      failures += try_one(*format, read_file(arguments.file, size_t{1} << 30), "");
    } else if (arguments.only) {
      failures += try_one(*format, make_input(*format, arguments.run.seed, *arguments.only), arguments.save);
    } else {
      failures += run_format(*format, arguments.run);
    }
  }
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sfumato::fuzz

int main(int argc, char** argv) {
  try {
    return sfumato::fuzz::main(argc, argv);
  } catch (const std::exception& error) {
    std::printf("FINDING: %s\n", error.what());
    return 1;
  }
}
