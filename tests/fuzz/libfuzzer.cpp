// libFuzzer's entry, one executable for each format (clang, -DSFUMATO_LIBFUZZER=ON): it follows coverage where
// sfumato_fuzz only throws dice, and shares its changes, its rules and its corpus.
//
//   mkdir -p corpus && build/fuzz/tests/fuzz_png corpus -max_total_time=600
//
// An empty corpus is enough: the formats' own good files are what changes start from.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "tensor/parallel.h"
#include "tests/fuzz/format.h"
#include "tests/fuzz/run.h"

namespace {

const sfumato::fuzz::Format& format() {
  static const sfumato::fuzz::Format* const found = sfumato::fuzz::find_format(SFUMATO_FUZZ_FORMAT);
  return *found;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  sfumato::set_num_threads(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    sfumato::fuzz::try_input(format(), {reinterpret_cast<const char*>(data), size});
  } catch (const std::runtime_error& error) {
    std::fprintf(stderr, "FINDING: %s\n", error.what());
    std::abort();
  }
  return 0;
}

// Changes that know the format; one in eight starts from a good file.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  sfumato::fuzz::Random random(seed, size);
  static const std::vector<std::string> corpus = format().corpus();
  std::string input(reinterpret_cast<const char*>(data), size);
  constexpr size_t kLeast = 16;  // less than any format's header
  if (size < kLeast || random.chance(1, 8)) input = random.pick(corpus);
  format().mutate(input, random);
  const size_t taken = std::min(input.size(), max_size);
  std::copy_n(input.begin(), taken, data);
  return taken;
}
