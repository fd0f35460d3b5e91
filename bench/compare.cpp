#include "bench/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace sfumato::bench {
namespace {

// Twice the mean rank of each value (so that ties stay whole numbers), ranks counting from 1.
std::vector<int64_t> doubled_ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<int64_t> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) {
      ++end;
    }
    for (size_t i = begin; i < end; ++i) {
      ranks[order[i]] = static_cast<int64_t>(begin + 1 + end);  // the mean of begin + 1 .. end, doubled
    }
    begin = end;
  }
  return ranks;
}

void check_repetitions(const Series& series, const char* which) {
  const size_t count = series.seconds.size();
  if (count < kMinRepetitions || count > kMaxRepetitions) {
    throw Incomparable(fmt::format("'{}' has {} repetitions {}: {} to {} can be compared", series.name, count, which,
                                   kMinRepetitions, kMaxRepetitions));
  }
}

Comparison compare_series(const Series& before, const Series& after, const CompareOptions& options) {
  check_repetitions(before, "before");
  check_repetitions(after, "now");
  Comparison c{after.name, median(before.seconds), median(after.seconds)};
  const bool slower = c.after >= c.before;
  c.p = slower ? mann_whitney_p(after.seconds, before.seconds) : mann_whitney_p(before.seconds, after.seconds);
  const double change = slower ? c.after / c.before - 1 : c.before / c.after - 1;
  if (change > options.threshold && c.p < options.significance) {
    c.verdict = slower ? Verdict::slower : Verdict::faster;
  }
  return c;
}

}  // namespace

void check_comparable(const Results& before, const Results& after) {
  for (const char* key : {"cpu", "num_cpus", "threads", "instruction_set", "backend"}) {
    const auto value = [key](const Results& results) {
      const auto found = results.context.find(key);
      return found == results.context.end() ? std::string("unknown") : found->second;
    };
    if (value(before) != value(after)) {
      throw Incomparable(
          fmt::format("{} was '{}' and is '{}': times cannot be compared", key, value(before), value(after)));
    }
  }
}

double mann_whitney_p(const std::vector<double>& large, const std::vector<double>& small) {
  std::vector<double> all = large;
  all.insert(all.end(), small.begin(), small.end());
  const std::vector<int64_t> ranks = doubled_ranks(all);
  const auto chosen = static_cast<std::ptrdiff_t>(large.size());
  const int64_t observed = std::accumulate(ranks.begin(), ranks.begin() + chosen, int64_t{0});
  const int64_t total = std::accumulate(ranks.begin(), ranks.end(), int64_t{0});

  // ways[k][s]: how many choices of k values have ranks that sum to s.
  const auto sums = static_cast<size_t>(total + 1);
  std::vector<std::vector<double>> ways(large.size() + 1, std::vector<double>(sums, 0.0));
  ways[0][0] = 1;
  for (const int64_t rank : ranks) {
    for (size_t k = large.size(); k > 0; --k) {
      for (auto s = static_cast<size_t>(rank); s < sums; ++s) {
        // In place: row k - 1 does not contain this value yet, since rows are updated from the last to the first.
        ways[k][s] += ways[k - 1][s - static_cast<size_t>(rank)];
      }
    }
  }
  const std::vector<double>& counts = ways[large.size()];
  return std::accumulate(counts.begin() + observed, counts.end(), 0.0) /
         std::accumulate(counts.begin(), counts.end(), 0.0);
}

std::vector<Comparison> compare(const Results& before, const Results& after, const CompareOptions& options) {
  std::vector<Comparison> comparisons;
  for (const Series& series : after.benchmarks) {
    if (const Series* old = before.find(series.name)) {
      comparisons.push_back(compare_series(*old, series, options));
    }
  }
  if (comparisons.empty()) {
    throw Incomparable("no benchmark was measured both times");
  }
  return comparisons;
}

std::string format_time(double seconds) {
  constexpr std::pair<double, const char*> kUnits[] = {{1.0, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}};
  for (const auto& [unit, name] : kUnits) {
    const double value = seconds / unit;
    if (value >= 0.9995 || unit == 1e-9) {
      return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, name);
    }
  }
  return {};
}

std::string comparison_table(const std::vector<Comparison>& comparisons) {
  std::string table;
  for (const Comparison& c : comparisons) {
    table += fmt::format("{:>9} -> {:>9}  {:5.2f} times  p {:.4f}  {}\n", format_time(c.before), format_time(c.after),
                         c.ratio(), c.p, c.name);
  }
  return table;
}

}  // namespace sfumato::bench
