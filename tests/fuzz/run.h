// One run of the fuzzer over a format: a number of inputs, each made from the corpus, a seed and its index.
//
//   const Report report = run(*find_format("png"), {.count = 100'000, .seed = 1});
//   report.header_share();                  // how many got past the first check
//
// A finding (an error that no user should see, too much memory, an input that takes longer than a minute) ends the run
// with a message that says how to make that input again; what a sanitizer finds ends the process, with the same line.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "tests/fuzz/format.h"

namespace sfumato::fuzz {

struct RunOptions {
  uint64_t count = 100'000;
  uint64_t seed = 1;
  uint64_t first = 0;  // index of the first input
};

struct Report {
  uint64_t inputs = 0, past_header = 0, accepted = 0;
  std::set<std::string> messages;  // what was said, without names and numbers
  size_t most_memory = 0;          // bytes above the input's own
  std::string finding;             // empty: none

  double header_share() const { return share(past_header); }
  double accepted_share() const { return share(accepted); }

 private:
  double share(uint64_t part) const {
    return inputs == 0 ? 0 : static_cast<double>(part) / static_cast<double>(inputs);
  }
};

Report run(const Format& format, const RunOptions& options);

// The input of that index.
std::string make_input(const Format& format, uint64_t seed, uint64_t index);

// Reads one input and returns what the reader said, empty when it accepted. Throws std::runtime_error with a finding.
std::string try_input(const Format& format, std::string_view input, size_t* memory = nullptr);

}  // namespace sfumato::fuzz
