#include "tensor/allocator.h"

#include <barrier>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "catch.h"
#include "tensor/tensor.h"

using namespace sfumato;

TEST_CASE("allocator: blocks of every size are aligned, writable and apart", "[tensor]") {
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{80}, size_t{81},
                             size_t{127}, size_t{129}, size_t{4096}, size_t{5000}, size_t{1048575}, size_t{1048576},
                             size_t{1048577}, size_t{3} << 20, (size_t{5} << 20) + 1}) {
    auto* block = static_cast<unsigned char*>(allocate(bytes));
    CAPTURE(bytes);
    REQUIRE(block != nullptr);
    CHECK(reinterpret_cast<uintptr_t>(block) % 64 == 0);
    std::memset(block, static_cast<int>(blocks.size() + 1), bytes);
    blocks.emplace_back(block, bytes);
  }
  // A size class smaller than the request would let neighbours overwrite each other.
  for (size_t i = 0; i < blocks.size(); ++i) {
    bool intact = true;
    for (size_t k = 0; k < blocks[i].second; ++k) intact &= blocks[i].first[k] == i + 1;
    CAPTURE(blocks[i].second);
    CHECK(intact);
  }
  for (const auto& [block, bytes] : blocks) deallocate(block, bytes);
}

TEST_CASE("allocator: a freed block is handed out again without asking the system", "[tensor]") {
  void* first = allocate(300000);
  deallocate(first, 300000);
  const AllocatorStats before = allocator_stats();
  CHECK(before.cached_bytes >= 300000);
  void* second = allocate(299000);  // the same size class
  CHECK(second == first);
  const AllocatorStats after = allocator_stats();
  CHECK(after.system_calls == before.system_calls);
  CHECK(after.allocations == before.allocations + 1);
  CHECK(after.live_bytes - before.live_bytes == before.cached_bytes - after.cached_bytes);
  deallocate(second, 299000);
}

TEST_CASE("allocator: rounding loses at most a quarter", "[tensor]") {
  for (size_t bytes = 64; bytes < (size_t{8} << 20); bytes = bytes * 9 / 8 + 1) {
    const size_t before = allocator_stats().live_bytes;
    void* block = allocate(bytes);
    const size_t taken = allocator_stats().live_bytes - before;
    CAPTURE(bytes, taken);
    CHECK(taken >= bytes);
    CHECK(taken <= bytes + bytes / 4 + 16);
    deallocate(block, bytes);
    CHECK(allocator_stats().live_bytes == before);
  }
}

TEST_CASE("allocator: the peak is the largest sum of live blocks", "[tensor]") {
  reset_peak();
  const size_t start = allocator_stats().live_bytes;
  CHECK(allocator_stats().peak_bytes == start);
  {
    const Tensor a = empty({1 << 20});
    const Tensor b = empty({1 << 20});
  }
  const Tensor c = empty({1 << 18});
  const AllocatorStats stats = allocator_stats();
  CHECK(stats.peak_bytes >= start + (size_t{8} << 20));
  CHECK(stats.peak_bytes < start + (size_t{11} << 20));
  CHECK(stats.live_bytes < start + (size_t{2} << 20));
}

TEST_CASE("allocator: trim gives the cache back", "[tensor]") {
  trim();
  const size_t of_other_threads = allocator_stats().cached_bytes;
  for (const size_t bytes : {size_t{64}, size_t{1000}, size_t{100000}, size_t{3} << 20})
    deallocate(allocate(bytes), bytes);
  CHECK(allocator_stats().cached_bytes > of_other_threads + (size_t{3} << 20));
  trim();
  CHECK(allocator_stats().cached_bytes == of_other_threads);
  void* block = allocate(1000);
  CHECK(block != nullptr);
  deallocate(block, 1000);
}

TEST_CASE("allocator: the cap refuses and harms nothing", "[tensor]") {
  const size_t live = allocator_stats().live_bytes;
  set_memory_cap(live + (size_t{1} << 20));
  CHECK_THROWS_AS(empty({1 << 20}), std::bad_alloc);
  CHECK(allocator_stats().live_bytes == live);
  { const Tensor small = empty({1000}); }
  set_memory_cap(0);
  const Tensor large = empty({1 << 20});
  CHECK(large.defined());
}

TEST_CASE("allocator: threads may allocate and free each other's blocks", "[tensor]") {
  const size_t before = allocator_stats().live_bytes;
  std::vector<std::thread> threads;
  std::vector<std::vector<Tensor>> kept(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&kept, t] {
      for (int i = 0; i < 500; ++i) kept[t].push_back(Tensor::empty({static_cast<int64_t>(1 + (t + 1) * i % 97)}));
    });
  }
  for (auto& thread : threads) thread.join();
  kept.clear();
  CHECK(allocator_stats().live_bytes == before);
}

TEST_CASE("allocator: the counts are exact whichever thread frees a block", "[tensor]") {
  const AllocatorStats before = allocator_stats();
  constexpr int kBlocks = 3000;  // more than a thread keeps of this class, so that both ways back are taken
  constexpr size_t kBytes = 128, kLarge = 20000;
  std::vector<void*> small(kBlocks), large(10);
  std::thread taking([&] {
    for (int i = 0; i < 10; ++i) deallocate(allocate(kBytes), kBytes);  // now it has blocks of its own
    for (void*& block : small) block = allocate(kBytes);
    for (void*& block : large) block = allocate(kLarge);
  });
  taking.join();
  AllocatorStats stats = allocator_stats();
  const size_t taken = stats.live_bytes - before.live_bytes;
  CHECK(taken >= kBlocks * kBytes + large.size() * kLarge);
  CHECK(stats.allocations == before.allocations + 10 + small.size() + large.size());
  CHECK(stats.peak_bytes >= stats.live_bytes);
  std::thread freeing([&] {
    for (void* block : small) deallocate(block, kBytes);
    for (void* block : large) deallocate(block, kLarge);
    stats = allocator_stats();  // while this thread still keeps its part
    CHECK(stats.live_bytes == before.live_bytes);
    CHECK(stats.cached_bytes >= kBlocks * kBytes);
  });
  freeing.join();
  const AllocatorStats after = allocator_stats();
  CHECK(after.live_bytes == before.live_bytes);
  CHECK(after.cached_bytes == stats.cached_bytes);
  // The ended thread's blocks serve this one: nothing comes from the system.
  for (void*& block : small) block = allocate(kBytes);
  CHECK(allocator_stats().system_calls == after.system_calls);
  for (void* block : small) deallocate(block, kBytes);
}

TEST_CASE("allocator: trim takes what this thread keeps, and its cache goes on working", "[tensor]") {
  const size_t live = allocator_stats().live_bytes;
  void* block = allocate(100);
  deallocate(block, 100);
  const size_t kept = allocator_stats().cached_bytes;
  trim();
  CHECK(allocator_stats().cached_bytes < kept);
  const uint64_t calls = allocator_stats().system_calls;
  deallocate(allocate(100), 100);
  CHECK(allocator_stats().system_calls == calls + 1);
  deallocate(allocate(100), 100);
  CHECK(allocator_stats().system_calls == calls + 1);
  CHECK(allocator_stats().live_bytes == live);
}

TEST_CASE("allocator: the peak of threads that work at once is that of their sum", "[tensor]") {
  constexpr int kThreads = 4;
  reset_peak();
  const size_t start = allocator_stats().live_bytes;
  std::barrier all_have(kThreads);
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) deallocate(allocate(64), 64);
      void* block = allocate(4096);
      all_have.arrive_and_wait();
      deallocate(block, 4096);
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(allocator_stats().peak_bytes == start + kThreads * 4096);
  CHECK(allocator_stats().live_bytes == start);
}

namespace {

// Frees a tensor after this thread's cache has been closed: made before it, so destroyed after.
struct LateOwner {
  Tensor tensor;
  void touch() {}
};
thread_local LateOwner late_owner;

}  // namespace

TEST_CASE("allocator: a tensor may outlive its thread's cache", "[tensor]") {
  trim();
  const AllocatorStats before = allocator_stats();
  std::thread([] {
    late_owner.touch();
    late_owner.tensor = empty({1000});
    { const Tensor opens_the_cache = empty({1000}); }
  }).join();
  CHECK(allocator_stats().live_bytes == before.live_bytes);
  // Both blocks serve this thread.
  const uint64_t calls = allocator_stats().system_calls;
  CHECK(calls == before.system_calls + 2);
  const Tensor a = empty({1000}), b = empty({1000});
  CHECK(allocator_stats().system_calls == calls);
}
