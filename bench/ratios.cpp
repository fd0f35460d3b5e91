#include "bench/ratios.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bench/compare.h"

namespace sfumato::bench {
namespace {

struct Pair {
  const Series* ours;
  const Series* theirs;
  std::string mode;
};

// The mode of a peer's benchmark when it measures `name` ("" when it has none); false when it measures something else.
bool measures(std::string_view rest, std::string_view name, std::string& mode) {
  if (!rest.ends_with(name)) {
    return false;
  }
  rest.remove_suffix(name.size());
  if (!rest.empty() && (rest.back() != '/' || rest.find('/') + 1 != rest.size())) {
    return false;
  }
  mode = rest.substr(0, rest.empty() ? 0 : rest.size() - 1);
  return true;
}

std::vector<Pair> find_pairs(const Results& results, const std::string& prefix) {
  std::vector<Pair> pairs;
  for (const Series& ours : results.benchmarks) {
    if (ours.name.starts_with("peer/")) {
      continue;
    }
    for (const Series& theirs : results.benchmarks) {
      std::string mode;
      if (theirs.name.starts_with(prefix) &&
          measures(std::string_view(theirs.name).substr(prefix.size()), ours.name, mode)) {
        pairs.push_back({&ours, &theirs, mode});
      }
    }
  }
  // Files of interleaved repetitions are in a random order.
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.ours->name < b.ours->name; });
  return pairs;
}

std::string time_cell(const Series& series) {
  return fmt::format("{} ±{:.0f} %", format_time(median(series.seconds)), 100 * relative_spread(series.seconds));
}

std::vector<std::string> row_of(const Pair& pair, bool memory) {
  std::vector<std::string> row = {pair.ours->name, pair.mode, time_cell(*pair.ours), time_cell(*pair.theirs),
                                  fmt::format("{:.2f}", median(pair.theirs->seconds) / median(pair.ours->seconds))};
  if (memory && pair.ours->peak_rss_mb > 0 && pair.theirs->peak_rss_mb > 0) {
    row.push_back(fmt::format("{:.0f} MB", pair.ours->peak_rss_mb));
    row.push_back(fmt::format("{:.0f} MB", pair.theirs->peak_rss_mb));
    row.push_back(fmt::format("{:.2f}", pair.theirs->peak_rss_mb / pair.ours->peak_rss_mb));
  }
  return row;
}

// Columns as wide as their widest cell; the first two to the left, numbers to the right.
std::string align(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  const auto width_of = [](const std::string& cell) {  // in characters: "±" has two bytes
    return static_cast<size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width_of(row[i]), ' ');
      line += (i == 0 || widths[i] == 0 ? "" : "  ") + (i < 2 ? row[i] + space : space + row[i]);
    }
    text += line + "\n";
  }
  return text;
}

// "AMD EPYC 9454; threads 2; ...": what the reader must know of where this was measured.
std::string describe(const Results& results) {
  std::string line;
  for (const char* key : {"cpu", "threads", "instruction_set", "onednn", "torch", "torch_onednn"}) {
    if (const auto found = results.context.find(key); found != results.context.end()) {
      line += line.empty() ? found->second : fmt::format("; {} {}", key, found->second);
    }
  }
  return line + "\n";
}

}  // namespace

std::string ratio_table(const Results& results, std::string_view peer) {
  const auto pairs = find_pairs(results, fmt::format("peer/{}/", peer));
  check(!pairs.empty(), "ratios: no benchmark of ", peer, " has the name of one of ours");
  const bool memory = std::any_of(pairs.begin(), pairs.end(), [](const Pair& pair) {
    return pair.ours->peak_rss_mb > 0 && pair.theirs->peak_rss_mb > 0;
  });
  std::vector<std::vector<std::string>> rows = {{"benchmark", "", "ours", std::string(peer), "ratio"}};
  if (memory) {
    rows.front().insert(rows.front().end(), {"ours", std::string(peer), "ratio"});
  }
  for (const Pair& pair : pairs) {
    rows.push_back(row_of(pair, memory));
  }
  return describe(results) + align(rows) +
         fmt::format("\nratio = {0} / ours: above 1 ours is faster{1}. ± is half the interquartile range.\n", peer,
                     memory ? ", or takes less resident memory" : "");
}

}  // namespace sfumato::bench
