// The part of `sfumato_bench --save` and `--check` that measures again and talks to the user.
//
//   if (has_regression(saved, measured, {.threshold = 0.05})) return 1;
#pragma once

#include <filesystem>

#include "bench/compare.h"

namespace sfumato::bench {

// Compares, measures what looks slower a second time, and prints on stderr what is slower both times, and what is
// faster. True when anything is slower. Throws Incomparable. Google Benchmark must have been initialised.
bool has_regression(const Results& before, const Results& measured, const CompareOptions& options);

// Throws CannotCreate unless a file could be written there.
void require_writable(const std::filesystem::path& path);

}  // namespace sfumato::bench
