// Benchmarks of Sfumato. stdout holds Google Benchmark's output alone (or the table of --ratios); real time throughout.
//
//   sfumato_bench --benchmark_filter='^train_step/' --benchmark_repetitions=3
//   sfumato_bench --benchmark_format=json > results.json
//   sfumato_bench --save=before.json          and later          sfumato_bench --check=before.json
//   sfumato_bench --ratios=torch ours.json theirs.json
//
// docs/benchmarks.md is the guide.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "bench/check.h"
#include "bench/compare.h"
#include "bench/environment.h"
#include "bench/measure.h"
#include "bench/ratios.h"
#include "bench/registry.h"
#include "bench/reporter.h"
#include "diffusion/cli/exit_codes.h"
#include "diffusion/train/run_directory.h"
#include "tensor/io/file.h"

namespace sfumato::bench {
namespace {

struct Options {
  std::string save, check, ratios;
  double threshold = 5;
  std::vector<std::string> files;
  std::vector<std::string> google;  // what is left: Google Benchmark's

  bool keeps() const { return !save.empty() || !check.empty(); }
  bool has(std::string_view flag) const {
    return std::any_of(google.begin(), google.end(), [&](const std::string& a) { return a.starts_with(flag); });
  }
};

// Google Benchmark's flags of this run: defaults of ours first, so that later ones of the user's override them.
std::vector<std::string> google_flags(const Options& options) {
  std::vector<std::string> flags = {"--benchmark_min_time=" SFUMATO_BENCH_MIN_TIME};
  if (options.keeps()) {
    flags.emplace_back("--benchmark_repetitions=9");
    flags.emplace_back("--benchmark_enable_random_interleaving=true");
    flags.emplace_back("--benchmark_filter=-^peer/");
  }
  flags.insert(flags.end(), options.google.begin(), options.google.end());
  return flags;
}

// False when there is a flag that nobody knows.
bool initialize_google(const std::vector<std::string>& flags) {
  static std::vector<std::string> kept = {"sfumato_bench"};  // the library keeps pointers
  kept.insert(kept.end(), flags.begin(), flags.end());
  static std::vector<char*> pointers;
  pointers.reserve(kept.size() + 1);
  for (std::string& flag : kept) {
    pointers.push_back(flag.data());
  }
  int count = static_cast<int>(pointers.size());
  pointers.push_back(nullptr);
  benchmark::Initialize(&count, pointers.data());
  return !benchmark::ReportUnrecognizedArguments(count, pointers.data());
}

int print_ratios(const Options& options) {
  Results all;
  for (const std::string& file : options.files) {
    all.merge(parse_results(read_file(file, kMaxResultBytes), file));
  }
  fmt::print("{}", ratio_table(all, options.ratios));
  return cli::kOk;
}

int run_benchmarks(const Options& options) {
  // What can go wrong with the files does so before the minutes that the measurement takes.
  Results before;
  if (!options.check.empty()) {
    before = parse_results(read_file(options.check, kMaxResultBytes), options.check);
    check_comparable(before, {machine_context(), {}});
  }
  if (!options.save.empty()) {
    require_writable(options.save);
  }
  register_all();
  if (!initialize_google(google_flags(options))) {
    return cli::kUsage;
  }
  if (options.has("--benchmark_list_tests")) {
    return benchmark::RunSpecifiedBenchmarks() > 0 ? cli::kOk : cli::kUsage;
  }
  add_context();
  if (!options.keeps()) {
    return benchmark::RunSpecifiedBenchmarks() == 0 ? cli::kUsage : any_failed() ? cli::kInternal : cli::kOk;
  }
  KeepingReporter keeper(benchmark::CreateDefaultDisplayReporter());
  if (benchmark::RunSpecifiedBenchmarks(&keeper) == 0) {
    return cli::kUsage;
  }
  if (!options.save.empty()) {
    write_file_durably(options.save, keeper.json());
  }
  const bool slower = !options.check.empty() && has_regression(before, parse_results(keeper.json(), "this run"),
                                                               {.threshold = options.threshold / 100});
  return slower || any_failed() ? cli::kInternal : cli::kOk;
}

int complain(const std::exception& error, int code) {
  std::fputs(fmt::format("sfumato_bench: {}\n", error.what()).c_str(), stderr);
  return code;
}

int run_guarded(const Options& options) {
  try {
    return options.ratios.empty() ? run_benchmarks(options) : print_ratios(options);
  } catch (const Incomparable& error) {
    return complain(error, cli::kBadConfig);
  } catch (const CannotCreate& error) {
    return complain(error, cli::kCannotCreate);
  } catch (const MissingInput& error) {
    return complain(error, cli::kMissingInput);
  } catch (const IoError& error) {
    return complain(error, cli::kIo);
  } catch (const FormatError& error) {
    return complain(error, cli::kBadData);
  } catch (const std::exception& error) {
    return complain(error, cli::kInternal);
  }
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app{
      "Benchmarks of Sfumato. What is not listed here goes to Google Benchmark (--benchmark_filter=REGEX, ...)."};
  app.allow_extras();
  app.add_option("--save", options.save, "Write the results of 9 interleaved repetitions to this file (JSON)")
      ->type_name("FILE");
  app.add_option("--check", options.check, "Fail where this run is significantly slower than those in this file")
      ->type_name("FILE");
  app.add_option("--threshold", options.threshold, "Percent by which a median must change to count, for --check")
      ->capture_default_str()
      ->type_name("PERCENT")
      ->check(CLI::Range(0.0, 1000.0));
  auto* ratios = app.add_option("--ratios", options.ratios,
                                "Measure nothing: print ours beside this peer (torch, onednn) from the files")
                     ->type_name("PEER");
  app.add_option("FILE", options.files, "JSON files for --ratios; the repetitions of one benchmark are put together")
      ->type_name("")
      ->needs(ratios);
  app.add_flag_callback(
      "--benchmark_help",
      [] {
        initialize_google({"--help"});  // prints and exits
      },
      "Print Google Benchmark's own options and exit");
  app.footer("The guide: docs/benchmarks.md.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? cli::kOk : cli::kUsage;
  }
  options.google = app.remaining();
  if (!options.ratios.empty() && (options.files.empty() || options.keeps() || !options.google.empty())) {
    std::fputs("sfumato_bench: --ratios takes files and no other option\n", stderr);
    return cli::kUsage;
  }
  return run_guarded(options);
}

}  // namespace
}  // namespace sfumato::bench

int main(int argc, char** argv) { return sfumato::bench::run(argc, argv); }
