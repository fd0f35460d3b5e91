// Threads: one place that opens parallel regions for code that is not a kernel file of its own.
//
//   parallel_for(n, /*grain=*/16384, [&](int64_t begin, int64_t end) { ... });
//
// Ranges are contiguous and disjoint. What they compute must not depend on where the cuts fall: then results are the
// same for every number of threads. Nested calls run in the caller. Never call it from a helper thread (data loading,
// communication): OpenMP would build a second pool; mark such threads with `HelperThreadScope`. In a dry run
// ("tensor/cost.h") nothing is called.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <string>

#include "tensor/dry_run.h"

namespace sfumato {

// Threads that parallel regions use; the default is what OpenMP would take (OMP_NUM_THREADS or the affinity mask).
int num_threads();
// Throws when n < 1.
void set_num_threads(int n);
// Where that number comes from, in words: "OMP_NUM_THREADS", "the affinity mask (2 of 64 CPUs)", "set_num_threads".
std::string num_threads_origin();

// Flush denormals to zero in every compute thread (on by default: a denormal costs a convolution 5 to 100 times).
void set_flush_denormal(bool on);

// Marks the calling thread as one that must not open parallel regions: parallel_for then runs serially in it.
class HelperThreadScope {
 public:
  HelperThreadScope();
  ~HelperThreadScope();
  HelperThreadScope(const HelperThreadScope&) = delete;
  HelperThreadScope& operator=(const HelperThreadScope&) = delete;

 private:
  bool previous_;
};

// True where a region may open: not in a helper thread and not inside another region.
bool may_open_parallel_region();

namespace detail {
// Calls body(context, part, parts) for part = 0..parts-1, one thread each; rethrows the first exception.
void run_parts(int parts, void (*body)(void* context, int part, int parts), void* context);
}  // namespace detail

// Calls f(begin, end) for ranges that cover [0, n), in parallel when n exceeds `grain`.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= 0 || dry_run()) {
    return;
  }
  int parts = 1;
  if (n > grain && may_open_parallel_region()) {
    const int64_t wanted = (n + grain - 1) / std::max<int64_t>(grain, 1);
    parts = static_cast<int>(std::min<int64_t>(wanted, num_threads()));
  }
  if (parts == 1) {
    f(int64_t{0}, n);
    return;
  }
  struct Context {
    F& f;
    int64_t n;
  } context{f, n};
  detail::run_parts(
      parts,
      [](void* raw, int part, int of) {
        auto& c = *static_cast<Context*>(raw);
        c.f(c.n * part / of, c.n * (part + 1) / of);
      },
      &context);
}

}  // namespace sfumato
