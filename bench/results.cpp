#include "bench/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tensor/io/file.h"

namespace sfumato::bench {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kRealTime = "/real_time";

[[noreturn]] void fail(const std::string& source, const std::string& rule) {
  throw FormatError(fmt::format("{}: {}: these are no results of Google Benchmark", source, rule));
}

double seconds_of_unit(const std::string& source, const Json& run) {
  const std::string unit = run.value("time_unit", "");
  constexpr std::pair<std::string_view, double> kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1.0}};
  for (const auto& [name, seconds] : kUnits) {
    if (unit == name) {
      return seconds;
    }
  }
  fail(source, fmt::format("time_unit '{}'", unit));
}

Series& series_named(Results& results, const std::string& name) {
  const auto found = std::find_if(results.benchmarks.begin(), results.benchmarks.end(),
                                  [&](const Series& s) { return s.name == name; });
  return found != results.benchmarks.end() ? *found : results.benchmarks.emplace_back(Series{name, {}, 0});
}

void add_run(Results& results, const std::string& source, const Json& run) {
  if (run.value("run_type", "iteration") != "iteration" || run.value("error_occurred", false) ||
      run.contains("skipped")) {
    return;
  }
  std::string name = run.at("name").get<std::string>();
  if (name.ends_with(kRealTime)) {
    name.resize(name.size() - kRealTime.size());
  }
  const double seconds = run.at("real_time").get<double>() * seconds_of_unit(source, run);
  if (!(seconds > 0) || !std::isfinite(seconds)) {
    fail(source, fmt::format("'{}' took {} s", name, seconds));
  }
  Series& series = series_named(results, name);
  series.seconds.push_back(seconds);
  series.peak_rss_mb = std::max(series.peak_rss_mb, run.value("peak_rss_MB", 0.0));
}

// Linear between the two neighbours; of sorted values.
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

const Series* Results::find(std::string_view name) const {
  const auto found =
      std::find_if(benchmarks.begin(), benchmarks.end(), [&](const Series& s) { return s.name == name; });
  return found == benchmarks.end() ? nullptr : &*found;
}

void Results::merge(const Results& other) {
  context.insert(other.context.begin(), other.context.end());
  for (const Series& theirs : other.benchmarks) {
    Series& ours = series_named(*this, theirs.name);
    ours.seconds.insert(ours.seconds.end(), theirs.seconds.begin(), theirs.seconds.end());
    ours.peak_rss_mb = std::max(ours.peak_rss_mb, theirs.peak_rss_mb);
  }
}

Results parse_results(std::string_view json, const std::string& source) {
  Results results;
  try {
    const Json root = Json::parse(json);
    for (const auto& [key, value] : root.at("context").items()) {
      if (value.is_primitive()) {
        results.context[key] = value.is_string() ? value.get<std::string>() : value.dump();
      }
    }
    const Json& runs = root.at("benchmarks");
    if (!runs.is_array()) {
      fail(source, "'benchmarks' is no list");
    }
    for (const Json& run : runs) {
      add_run(results, source, run);
    }
  } catch (const Json::exception& error) {
    fail(source, error.what());
  }
  return results;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return quantile(values, 0.5);
}

double relative_spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return 0.5 * (quantile(values, 0.75) - quantile(values, 0.25)) / quantile(values, 0.5);
}

}  // namespace sfumato::bench
