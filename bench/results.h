// Results of benchmark runs as Google Benchmark writes them: the JSON of --benchmark_out, of our --save, and of the
// scripts in bench/peers/, which print the same form.
//
//   Results saved = parse_results(read_file("before.json", kMaxResultBytes), "before.json");
//   median(saved.find("softmax/forward/4096x256")->seconds);
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sfumato::bench {

inline constexpr size_t kMaxResultBytes = size_t{64} << 20;

// One benchmark: a value per repetition.
struct Series {
  std::string name;             // without Google Benchmark's "/real_time"
  std::vector<double> seconds;  // real time per iteration, all positive
  double peak_rss_mb = 0;       // the largest `peak_rss_MB`; 0 where there is none
};

struct Results {
  std::map<std::string, std::string> context;  // texts as they are, numbers and truth values as JSON writes them
  std::vector<Series> benchmarks;              // in the order of first appearance, no name twice

  // Null when there is no such benchmark.
  const Series* find(std::string_view name) const;
  // Adds the repetitions of `other`, benchmark by benchmark, and what its context knows and this one does not.
  void merge(const Results& other);
};

// Aggregates (mean, median, ...) are skipped, and so are benchmarks that failed. Throws FormatError naming `source` for
// what is no such JSON.
Results parse_results(std::string_view json, const std::string& source);

// The middle value, or the mean of the middle two; of at least one.
double median(std::vector<double> values);
// Half the distance between the quartiles, relative to the median: what is written behind a time as "±2 %".
double relative_spread(std::vector<double> values);

}  // namespace sfumato::bench
