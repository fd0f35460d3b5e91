// Every row's values: what the fast kernels, the plain ones and the row's formula compute, in every declared dtype, for
// every memory layout, with one thread and with two. These are the property tests: their cases are counted and printed.
#include "catch.h"

#include <cstdio>

#include "tests/ops/table/check.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

struct Count {
  int64_t draws = 0;  // random calls of an op
  int64_t cases = 0;  // op x dtype x backend x layout x threads, each compared
};

std::string at(const Row& row, DType dtype, Sizes sizes, int64_t number) {
  constexpr const char* kSizeNames[] = {"any", "small", "empty", "scalar"};
  return fmt::format("{} in {}, draw {} of size '{}'", row.name, name_of(dtype), number,
                     kSizeNames[static_cast<int>(sizes)]);
}

// Runs `check`, which returns what is wrong, and counts it.
template <class Check>
void expect(Count& count, const std::string& where, const char* what, Check check) {
  ++count.cases;
  std::string problem;
  try {
    problem = check();
  } catch (const std::exception& error) {
    problem = error.what();
  }
  if (!problem.empty()) {
    FAIL_CHECK(where << ": " << what << ": " << problem);
  }
}

void check_values(const Row& row, DType dtype, Sizes sizes, int64_t number, Count& count) {
  Draw draw(row.name, dtype, sizes, number);
  const Sample sample = row.draw(draw);
  const std::string where = at(row, dtype, sizes, number);
  ++count.draws;

  Tensor truth, plain, fast;
  expect(count, where, "the plain kernel", [&] {
    truth = wrapped(truth_of(row, sample), row.result(dtype));
    plain = call(sample, dtype, Backend::reference);
    if (plain.dtype() != row.result(dtype)) return "the result's dtype is " + to_string(plain.dtype());
    return difference(plain, truth, row, dtype, sample);
  });
  if (!plain.defined()) return;
  if (sample.formula) {
    expect(count, where, "the formula", [&] {
      return difference(plain, wrapped(sample.formula(sample.inputs), row.result(dtype)), row, dtype, sample);
    });
  }
  expect(count, where, "the fast kernel", [&] {
    fast = call(sample, dtype);
    if (fast.dtype() != plain.dtype()) return "the result's dtype is " + to_string(fast.dtype());
    return difference(fast, truth, row, dtype, sample);
  });
  if (!fast.defined()) return;
  const auto same = [&](const Tensor& got, const Tensor& wanted) {
    return row.by_library ? difference(got, wanted, row, dtype, sample) : bit_difference(got, wanted);
  };
  for (const Layout layout : kViews) {
    expect(count, where, "views", [&] { return same(call(sample, dtype, Backend::fast, layout), fast); });
  }
  expect(count, where, "one thread", [&] {
    const ThreadScope one(1);
    return same(call(sample, dtype), fast);
  });
  expect(count, where, "one thread on a view", [&] {
    const ThreadScope one(1);
    return same(call(sample, dtype, Backend::fast, Layout::transposed), fast);
  });
}

void check_all_rows(int64_t draws_per_op) {
  const ThreadScope two(2);
  Count total;
  for (const Row& row : all_rows()) {
    const int64_t dtypes = __builtin_popcount(row.dtypes.bits);
    for (const DType dtype : kEveryDType) {
      if (!row.dtypes.contains(dtype)) continue;
      for (int64_t number = 0; number < (draws_per_op + dtypes - 1) / dtypes; ++number) {
        check_values(row, dtype, Sizes::any, number, total);
      }
      check_values(row, dtype, Sizes::empty, 0, total);
      check_values(row, dtype, Sizes::empty, 1, total);
      check_values(row, dtype, Sizes::scalar, 0, total);
    }
  }
  std::printf("property: %lld ops, %lld draws, %lld cases\n", static_cast<long long>(all_rows().size()),
              static_cast<long long>(total.draws), static_cast<long long>(total.cases));
  CHECK(total.draws >= 100 * static_cast<int64_t>(all_rows().size()));
}

}  // namespace

TEST_CASE("property: values of every op, dtype, layout and number of threads", "[property][table]") {
  check_all_rows(100);
}

TEST_CASE("property: the same with a thousand draws per op", "[.slow][property]") { check_all_rows(1000); }

TEST_CASE("table: dtypes that an op does not declare are refused by name", "[table]") {
  for (const Row& row : all_rows()) {
    for (const DType dtype : kEveryDType) {
      if (row.dtypes.contains(dtype)) continue;
      // Values that any dtype has.
      Draw draw(row.name, DType::u8, Sizes::small, 0);
      const Sample sample = row.draw(draw);
      if (sample.inputs.empty()) continue;
      CAPTURE(row.name, name_of(dtype));
      std::string message = "nothing was thrown";
      try {
        call(sample, dtype);
      } catch (const Error& error) {
        message = error.what();
      }
      CAPTURE(message);
      CHECK(message.find(to_string(dtype)) != message.npos);
      CHECK(message.find(row.name + ":") == 0);
    }
  }
}

TEST_CASE("table: wrong calls are refused, and the message names the op and the rule", "[table]") {
  for (const Row& row : all_rows()) {
    for (const Misuse& misuse : row.misuses) {
      CAPTURE(row.name, misuse.message);
      std::string message = "nothing was thrown";
      try {
        misuse.call();
      } catch (const Error& error) {
        message = error.what();
      }
      CAPTURE(message);
      CHECK(message.find(misuse.message) != message.npos);
      CHECK(message.find(row.name + ":") == 0);
    }
  }
}
