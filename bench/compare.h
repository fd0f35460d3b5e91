// Whether benchmarks became slower: the test behind `sfumato_bench --check`.
//
//   const auto found = compare(saved, measured, {.threshold = 0.05});
//   for (const Comparison& c : found) if (c.verdict == Verdict::slower) ...
//
// A benchmark counts as slower when both hold:
//   * the median of its repetitions is larger than before by more than the threshold, so that it matters;
//   * a one-sided Mann-Whitney U test (Mann & Whitney 1947) says that repetitions as slow as these would be drawn from
//     the old distribution with a probability below `significance`, so that the spread of both sides does not explain
//     it.
// Faster: the same with the sides exchanged. The test compares ranks, so outliers weigh no more than any other run, and
// it is exact: the distribution is counted, not approximated. One machine's bad minutes hit all repetitions alike,
// which no test on the numbers can see: the caller measures suspects a second time.
#pragma once

#include <string>
#include <vector>

#include "bench/results.h"
#include "tensor/check.h"

namespace sfumato::bench {

// Results that must not be compared: another machine, thread count or instruction set, or too few repetitions.
class Incomparable : public Error {
 public:
  using Error::Error;
};

struct CompareOptions {
  double threshold = 0.05;
  double significance = 0.01;
};

inline constexpr size_t kMinRepetitions = 5;   // below, no difference whatever could be significant
inline constexpr size_t kMaxRepetitions = 50;  // the test counts all arrangements of the repetitions

enum class Verdict { same, slower, faster };

struct Comparison {
  std::string name;
  double before = 0, after = 0;  // medians, seconds
  double p = 1;                  // of the side that `after` lies on
  Verdict verdict = Verdict::same;
  double ratio() const { return after / before; }
};

// Throws Incomparable unless both were measured on the same CPU model, with the same threads, instruction set and
// backend.
void check_comparable(const Results& before, const Results& after);

// Every benchmark that both have, in the order of `after`. Throws Incomparable when there is none, or when one has a
// number of repetitions outside kMinRepetitions..kMaxRepetitions.
std::vector<Comparison> compare(const Results& before, const Results& after, const CompareOptions& options = {});

// The probability that the ranks of `large` among all values sum to at least what they do, if every arrangement is
// equally likely; ties share their mean rank.
double mann_whitney_p(const std::vector<double>& large, const std::vector<double>& small);

// One line per benchmark: "1.20 ms -> 1.35 ms  1.13 times  p 0.0004  name".
std::string comparison_table(const std::vector<Comparison>& comparisons);

// "1.23 ms": a time in the unit that suits it, to three digits.
std::string format_time(double seconds);

}  // namespace sfumato::bench
