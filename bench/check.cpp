#include "bench/check.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "bench/reporter.h"
#include "diffusion/train/run_directory.h"

namespace sfumato::bench {
namespace {

void tell(const std::string& text) { std::fputs(text.c_str(), stderr); }

std::vector<Comparison> with_verdict(const std::vector<Comparison>& all, Verdict verdict) {
  std::vector<Comparison> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some),
               [verdict](const Comparison& c) { return c.verdict == verdict; });
  return some;
}

// Exactly these benchmarks, for --benchmark_filter.
std::string filter_of(const std::vector<Comparison>& comparisons) {
  std::string filter;
  for (const Comparison& c : comparisons) {
    filter += filter.empty() ? "^(" : "|";
    for (const char letter : c.name) {
      filter += std::string_view(".+*?()[]{}|^$\\").find(letter) == std::string_view::npos ? "" : "\\";
      filter += letter;
    }
  }
  return filter + ")/real_time$";
}

Results measure_again(const std::vector<Comparison>& suspects) {
  // A file of --benchmark_out holds the first measurement: this one must not replace it.
  char program[] = "sfumato_bench", no_file[] = "--benchmark_out=";
  char* flags[] = {program, no_file, nullptr};
  int count = 2;
  benchmark::Initialize(&count, flags);
  KeepingReporter keeper(nullptr);
  benchmark::RunSpecifiedBenchmarks(&keeper, filter_of(suspects));
  return parse_results(keeper.json(), "the second measurement");
}

// A slower machine makes slower programs: worth knowing before a culprit is looked for.
void tell_if_machine_is_slower(const Results& before, const Results& now, double threshold) {
  for (const char* roof : {"fma_peak_GFLOP/s", "triad_GB/s"}) {
    const auto old_value = before.context.find(roof), new_value = now.context.find(roof);
    if (old_value == before.context.end() || new_value == now.context.end()) {
      continue;
    }
    const double a = std::atof(old_value->second.c_str()), b = std::atof(new_value->second.c_str());
    if (b > 0 && a / b > 1 + threshold) {
      tell(fmt::format("note: the machine itself is slower than it was: {} {} then, {} now\n", roof, old_value->second,
                       new_value->second));
    }
  }
}

}  // namespace

bool has_regression(const Results& before, const Results& measured, const CompareOptions& options) {
  const auto comparisons = compare(before, measured, options);
  if (const auto faster = with_verdict(comparisons, Verdict::faster); !faster.empty()) {
    tell("faster:\n" + comparison_table(faster));
  }
  auto slower = with_verdict(comparisons, Verdict::slower);
  if (!slower.empty()) {
    tell(fmt::format("{} of {} look slower; measuring them again\n", slower.size(), comparisons.size()));
    slower = with_verdict(compare(before, measure_again(slower), options), Verdict::slower);
  }
  if (slower.empty()) {
    tell(fmt::format("check: {} benchmarks, none is slower by more than {:g} %\n", comparisons.size(),
                     100 * options.threshold));
    return false;
  }
  tell("slower:\n" + comparison_table(slower));
  tell_if_machine_is_slower(before, measured, options.threshold);
  tell(fmt::format("check: {} of {} benchmarks are slower by more than {:g} %, measured twice\n", slower.size(),
                   comparisons.size(), 100 * options.threshold));
  return true;
}

void require_writable(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (!std::filesystem::is_directory(folder) || access(folder.c_str(), W_OK) != 0 ||
      std::filesystem::is_directory(path)) {
    throw CannotCreate(fmt::format("{}: cannot be written", path.string()));
  }
}

}  // namespace sfumato::bench
