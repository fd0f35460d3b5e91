#include "tensor/parallel.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "catch.h"
#include "tensor/check.h"
#include "tensor/ops/elementwise.h"

using namespace sfumato;

namespace {

// Restores the number of threads.
class Threads {
 public:
  explicit Threads(int n) : before_(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};

}  // namespace

TEST_CASE("parallel: ranges are disjoint and cover everything", "[tensor]") {
  for (const int threads : {1, 2, 3, 8}) {
    Threads scope(threads);
    for (const int64_t n : {1, 2, 7, 1000, 1009}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      parallel_for(n, 3, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
      });
      bool once = true;
      for (const auto& count : seen) once &= count == 1;
      CAPTURE(threads, n);
      CHECK(once);
    }
  }
}

TEST_CASE("parallel: nothing is called for nothing, and little work stays in the caller", "[tensor]") {
  Threads scope(4);
  int calls = 0;
  parallel_for(0, 1, [&](int64_t, int64_t) { ++calls; });
  parallel_for(-5, 1, [&](int64_t, int64_t) { ++calls; });
  CHECK(calls == 0);
  parallel_for(100, 100, [&](int64_t begin, int64_t end) {
    ++calls;
    CHECK(begin == 0);
    CHECK(end == 100);
  });
  CHECK(calls == 1);
}

TEST_CASE("parallel: an exception in any part reaches the caller, and the pool lives on", "[tensor]") {
  Threads scope(4);
  const auto fail_in_the_end = [](int64_t, int64_t end) {
    if (end == 1000) throw std::runtime_error("from a worker");
  };
  CHECK_THROWS_WITH(parallel_for(1000, 1, fail_in_the_end), ContainsSubstring("from a worker"));
  std::atomic<int64_t> total{0};
  parallel_for(1000, 1, [&](int64_t begin, int64_t end) { total += end - begin; });
  CHECK(total == 1000);
}

TEST_CASE("parallel: nested regions run in the caller's thread", "[tensor]") {
  Threads scope(4);
  std::atomic<int> wrong{0};
  parallel_for(8, 1, [&](int64_t, int64_t) {
    if (may_open_parallel_region()) ++wrong;
    const auto self = std::this_thread::get_id();
    parallel_for(1000, 1, [&](int64_t, int64_t) { wrong += std::this_thread::get_id() == self ? 0 : 1; });
  });
  CHECK(wrong == 0);
}

TEST_CASE("parallel: a helper thread opens no region", "[tensor]") {
  Threads scope(4);
  int parts = 0;
  bool allowed = true;
  std::thread([&] {
    HelperThreadScope helper;
    allowed = may_open_parallel_region();
    parallel_for(100000, 1, [&](int64_t, int64_t) { ++parts; });
  }).join();
  CHECK_FALSE(allowed);
  CHECK(parts == 1);
  CHECK(may_open_parallel_region());
}

TEST_CASE("parallel: fewer than one thread is refused", "[tensor]") {
  CHECK_THROWS_AS(set_num_threads(0), Error);
  CHECK(num_threads() >= 1);
}

TEST_CASE("parallel: denormals are flushed in every thread, and the switch reaches all of them", "[tensor]") {
  Threads scope(2);
  const float tiny = std::numeric_limits<float>::min() / 4;  // a denormal
  // Counts the threads in which the hardware keeps it; volatile keeps the compiler out.
  const auto kept = [&] {
    std::atomic<int> count{0};
    parallel_for(2, 1, [&](int64_t, int64_t) {
      volatile float x = tiny;
      volatile float y = x * 1.5f;
      if (y != 0) ++count;
    });
    return count.load();
  };
  CHECK(kept() == 0);
  set_flush_denormal(false);
  CHECK(kept() == 2);
  set_flush_denormal(true);
  CHECK(kept() == 0);
}
