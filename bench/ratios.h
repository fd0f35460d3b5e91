// The table that sets our times beside those of another library, measured in the same sitting.
//
//   Results all = ours;                   // "conv/forward/16x128-128@32", ...
//   all.merge(theirs);                    // "peer/torch/f32_nchw/conv/forward/16x128-128@32", ...
//   std::cout << ratio_table(all, "torch");
//
// A benchmark `peer/<peer>/<name>` or `peer/<peer>/<mode>/<name>` is paired with ours of that name.
#pragma once

#include <string>
#include <string_view>

#include "bench/results.h"

namespace sfumato::bench {

// Medians with their spread, the ratio theirs / ours (above 1: ours is faster), and, where any was measured, the peaks
// of resident memory with their ratio. Pairs are sorted by name. Throws Error when nothing can be paired.
std::string ratio_table(const Results& results, std::string_view peer);

}  // namespace sfumato::bench
