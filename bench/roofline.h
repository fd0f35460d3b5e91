// What this machine can do at most, measured in this very process: the two roofs of the roofline model (Williams,
// Waterman & Patterson 2009) that benchmarks are held against.
//
//   const Roofline& roof = roofline();            // the first call measures, in about half a second
//   roof.seconds(/*flops=*/2e9, /*bytes=*/1e8);   // no program can be faster than this
//
// flops/s: independent f32 multiply-adds in registers, all threads. bytes/s: the triad a = b + s * c (McCalpin's
// STREAM) on arrays much larger than the last cache, all threads, by ordinary or streaming stores, whichever is faster;
// three transfers per element are counted. Data that stays in the last cache can be faster than that: its own triad is
// measured too, to be read beside it.
#pragma once

#include <algorithm>

namespace sfumato::bench {

struct Roofline {
  double flops_per_second = 0;
  double bytes_per_second = 0;        // memory
  double cache_bytes_per_second = 0;  // last cache

  double seconds(double flops, double bytes) const {
    return std::max(flops / flops_per_second, bytes / bytes_per_second);
  }
};

// With as many threads as the library uses at the first call, and the widest vectors of this CPU.
const Roofline& roofline();

}  // namespace sfumato::bench
