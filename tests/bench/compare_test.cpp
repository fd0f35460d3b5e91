// The judgement behind `sfumato_bench --check`, on numbers made up for it: what is a regression and what is noise.
#include "bench/compare.h"

#include <cmath>
#include <random>

#include "catch.h"

using namespace sfumato::bench;

namespace {

const std::map<std::string, std::string> kMachine{
    {"cpu", "a CPU"}, {"num_cpus", "2"}, {"threads", "2"}, {"instruction_set", "avx2"}, {"backend", "fast"}};

// `count` repetitions around `centre` with a relative spread, as timings have it: log-normal.
std::vector<double> timings(std::mt19937& random, double centre, double spread, size_t count = 9) {
  std::normal_distribution<double> normal;
  std::vector<double> values(count);
  for (double& value : values) {
    value = centre * std::exp(spread * normal(random));
  }
  return values;
}

Results results(std::vector<double> seconds) { return {kMachine, {{"op", std::move(seconds), 0}}}; }

Verdict judge(const std::vector<double>& before, const std::vector<double>& after, const CompareOptions& options = {}) {
  return compare(results(before), results(after), options).at(0).verdict;
}

// How many of `trials` pairs get the verdict when `after` is `factor` times as slow as before.
int count_verdicts(Verdict verdict, double factor, double spread, int trials) {
  std::mt19937 random(7);
  int count = 0;
  for (int i = 0; i < trials; ++i) {
    const auto before = timings(random, 1e-3, spread), after = timings(random, factor * 1e-3, spread);
    count += judge(before, after) == verdict ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("bench check: a slowdown of 10 % is found, noise is not") {
  CHECK(count_verdicts(Verdict::slower, 1.10, 0.02, 300) >= 290);
  CHECK(count_verdicts(Verdict::faster, 1 / 1.10, 0.02, 300) >= 290);
  for (const double spread : {0.005, 0.02, 0.05}) {
    CAPTURE(spread);
    CHECK(count_verdicts(Verdict::slower, 1.0, spread, 300) <= 3);
    CHECK(count_verdicts(Verdict::faster, 1.0, spread, 300) <= 3);
  }
}

TEST_CASE("bench check: a change below the threshold does not count however sure it is") {
  const std::vector<double> before = {100, 100.1, 100.2, 100.3, 100.4}, after = {104, 104.1, 104.2, 104.3, 104.4};
  CHECK(judge(before, after, {.threshold = 0.05}) == Verdict::same);
  CHECK(judge(before, after, {.threshold = 0.03}) == Verdict::slower);
  CHECK(judge(after, before, {.threshold = 0.03}) == Verdict::faster);
}

TEST_CASE("bench check: a change that the spread explains does not count however large it is") {
  const std::vector<double> before = {1, 2, 3, 4, 5}, after = {1.5, 2.5, 6, 7, 8};
  CHECK(judge(before, after) == Verdict::same);  // the median has doubled
}

TEST_CASE("bench check: some repetitions at half speed are no regression") {
  const std::vector<double> before = {1.00, 1.01, 1.02, 1.00, 1.01, 1.02, 1.00, 1.01, 1.02};
  const std::vector<double> after = {1.00, 1.01, 1.02, 1.00, 1.01, 1.02, 2.00, 2.01, 2.02};
  CHECK(judge(before, after) == Verdict::same);
  CHECK(judge(after, before) == Verdict::same);
}

TEST_CASE("mann_whitney_p counts arrangements") {
  // All five above all five: one arrangement of C(10, 5) = 252.
  CHECK(mann_whitney_p({6, 7, 8, 9, 10}, {1, 2, 3, 4, 5}) == Approx(1.0 / 252));
  // One pair exchanged: rank sums of 39 and 40, one arrangement each.
  CHECK(mann_whitney_p({5, 7, 8, 9, 10}, {1, 2, 3, 4, 6}) == Approx(2.0 / 252));
  CHECK(mann_whitney_p({1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}) == Approx(1.0));
  // {1, 3} above {2}: sums of two of the ranks 1, 2, 3 that reach 4 are 1 + 3 and 2 + 3.
  CHECK(mann_whitney_p({1, 3}, {2}) == Approx(2.0 / 3));
  // Ties share ranks: nothing but equal values is certain.
  CHECK(mann_whitney_p({4, 4, 4}, {4, 4}) == Approx(1.0));
  // Of {2, 2 | 1, 2}: doubled ranks 6, 6 | 2, 6; sums of at least 12 are the three pairs of sixes of the six pairs.
  CHECK(mann_whitney_p({2, 2}, {1, 2}) == Approx(0.5));
}

TEST_CASE("mann_whitney_p is small as often as it says") {
  std::mt19937 random(1);
  int small = 0;
  for (int i = 0; i < 2000; ++i) {
    small += mann_whitney_p(timings(random, 1, 0.1), timings(random, 1, 0.1)) < 0.05 ? 1 : 0;
  }
  CHECK(small > 60);  // 5 % of 2000, less what the steps of the exact distribution cost
  CHECK(small < 130);
}

TEST_CASE("bench check: what must not be compared is refused") {
  const Results good = results({1, 2, 3, 4, 5});
  SECTION("another machine, or another way of running") {
    for (const char* key : {"cpu", "num_cpus", "threads", "instruction_set", "backend"}) {
      Results other = good;
      other.context[key] = "another";
      CHECK_THROWS_WITH(check_comparable(good, other), ContainsSubstring(key));
      other.context.erase(key);
      CHECK_THROWS_WITH(check_comparable(good, other), ContainsSubstring("unknown"));
    }
    check_comparable(good, good);
  }
  SECTION("too few repetitions, or more than can be counted") {
    CHECK_THROWS_WITH(compare(good, results({1, 2, 3, 4})), ContainsSubstring("'op' has 4 repetitions now"));
    CHECK_THROWS_WITH(compare(results({1}), good), ContainsSubstring("'op' has 1 repetitions before"));
    CHECK_THROWS_AS(compare(good, results(std::vector<double>(51, 1.0))), Incomparable);
    CHECK(judge(std::vector<double>(50, 1.0), std::vector<double>(50, 2.0)) == Verdict::slower);
  }
  SECTION("nothing in common") {
    Results other = good;
    other.benchmarks[0].name = "another op";
    CHECK_THROWS_AS(compare(good, other), Incomparable);
  }
}

TEST_CASE("bench check: times are printed in the unit that suits them") {
  CHECK(format_time(2.345) == "2.35 s");
  CHECK(format_time(0.9996) == "1.00 s");
  CHECK(format_time(0.0234) == "23.4 ms");
  CHECK(format_time(123e-6) == "123 us");
  CHECK(format_time(5e-10) == "0.50 ns");
  const std::string table = comparison_table(compare(results({1, 1, 1, 1, 1}), results({2, 2, 2, 2, 2})));
  CHECK(table == "   1.00 s ->    2.00 s   2.00 times  p 0.0040  op\n");
}
