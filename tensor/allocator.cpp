#include "tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>
#include <utility>

#include "tensor/dry_run.h"

namespace sfumato {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargeBlock = size_t{1} << 20;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kSmallBlock = size_t{8} << 10;    // blocks up to here are kept by threads
constexpr size_t kThreadKeeps = size_t{64} << 10;  // bytes of one class that a thread keeps at most

// ---- size classes: 64, 80, 96, 112, 128, 160, ... ----

struct SizeClass {
  int index;
  size_t bytes;
};

// Four classes per octave, but none closer than 16 bytes: log2 of their distance.
constexpr int step_bits(int octave) { return std::max(octave - 2, 4); }

// The leading bit picks the octave, the next two the class within it.
constexpr SizeClass size_class(size_t bytes) {
  bytes = std::max(bytes, kAlignment);
  const int octave = std::bit_width(bytes - 1) - 1;  // of the largest power of two below `bytes`
  const size_t base = size_t{1} << octave;
  const int bits = step_bits(octave);
  const size_t steps = (bytes - base + (size_t{1} << bits) - 1) >> bits;
  return {octave * 4 + static_cast<int>(steps), base + (steps << bits)};
}

// The inverse of size_class().index.
constexpr size_t bytes_of_class(int index) {
  const int octave = index / 4;
  return (size_t{1} << octave) + (static_cast<size_t>(index % 4) << step_bits(octave));
}

constexpr int kClasses = 64 * 4;
constexpr int kSmallClasses = size_class(kSmallBlock).index + 1;

// Freed blocks of one class; each holds the pointer to the next, so that keeping a block takes no memory.
struct FreeList {
  void* first = nullptr;

  void push(void* block) {
    *static_cast<void**>(block) = first;
    first = block;
  }
  // Null when there is none.
  void* pop() {
    void* block = first;
    if (block != nullptr) {
      first = *static_cast<void**>(block);
    }
    return block;
  }
};

// ---- the system ----

bool is_large(size_t bytes) { return bytes >= kLargeBlock; }

// Large blocks are mapped with room to align them by hand, and the rest unmapped again.
void* from_system(size_t bytes) {
  if (!is_large(bytes)) {
    return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  }
  const size_t mapped = bytes + kHugePage;
  void* raw = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) {
    return nullptr;
  }
  const auto begin = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = (begin + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > begin) {
    munmap(raw, aligned - begin);
  }
  const uintptr_t end = (aligned + bytes + 4095) / 4096 * 4096;
  if (end < begin + mapped) {
    munmap(reinterpret_cast<void*>(end), begin + mapped - end);
  }
  if (!dry_run()) {  // else one touch of a block's header would bring in 2 MiB
    madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
  }
  return reinterpret_cast<void*>(aligned);
}

void to_system(void* block, size_t bytes) noexcept {
  if (is_large(bytes)) {
    munmap(block, bytes);
  } else {
    std::free(block);
  }
}

// ---- what is handed out, exactly ----

class Ledger {
 public:
  // Throws when the cap refuses; then nothing has changed.
  void charge(size_t bytes) {
    size_t live = live_.load(std::memory_order_relaxed);
    do {
      if (live + bytes > cap_.load(std::memory_order_relaxed)) {
        throw std::bad_alloc();
      }
    } while (!live_.compare_exchange_weak(live, live + bytes, std::memory_order_relaxed));
    size_t peak = peak_.load(std::memory_order_relaxed);
    while (live + bytes > peak && !peak_.compare_exchange_weak(peak, live + bytes, std::memory_order_relaxed)) {
    }
  }
  void refund(size_t bytes) { live_.fetch_sub(bytes, std::memory_order_relaxed); }

  size_t live() const { return live_.load(std::memory_order_relaxed); }
  size_t peak() const { return peak_.load(std::memory_order_relaxed); }
  void reset_peak() { peak_.store(live(), std::memory_order_relaxed); }
  void set_cap(size_t bytes) { cap_.store(bytes, std::memory_order_relaxed); }

 private:
  static constexpr size_t kNoCap = std::numeric_limits<size_t>::max();
  std::atomic<size_t> live_{0}, peak_{0}, cap_{kNoCap};
};

constinit Ledger ledger;

// ---- a thread's own blocks ----

// Small blocks come from here and go back here without a lock. Nothing is kept (`room` is 0) before the thread has
// registered its cache and after it has closed it.
struct ThreadCache {
  struct Kept : FreeList {
    uint32_t room = 0;  // blocks that may be added
  };
  Kept lists[kSmallClasses];
  std::atomic<uint64_t> allocations{0};  // written by its thread alone
  ThreadCache* next = nullptr;           // of the registered ones
  enum class State : uint8_t { fresh, open, closed } state = State::fresh;

  // Null when the shared lists must be asked.
  void* take(SizeClass wanted) {
    if (wanted.index >= kSmallClasses) {
      return nullptr;
    }
    void* block = lists[wanted.index].pop();
    if (block != nullptr) {
      ++lists[wanted.index].room;
      allocations.store(allocations.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    return block;
  }
  bool keep(void* block, SizeClass given) {
    if (given.index >= kSmallClasses || lists[given.index].room == 0) {
      return false;
    }
    lists[given.index].push(block);
    --lists[given.index].room;
    return true;
  }
};

constinit thread_local ThreadCache cache;

// ---- what all threads share ----

class SharedBlocks {
 public:
  void* take(SizeClass wanted) {
    {
      std::lock_guard lock(mutex_);
      ++allocations_;
      if (void* block = free_[wanted.index].pop()) {
        return block;
      }
    }
    void* block = from_system(wanted.bytes);
    if (block == nullptr) {
      trim();
      block = from_system(wanted.bytes);
    }
    std::lock_guard lock(mutex_);
    ++system_calls_;
    held_bytes_ += block != nullptr ? wanted.bytes : 0;
    return block;
  }

  void put(void* block, SizeClass given) noexcept {
    std::lock_guard lock(mutex_);
    free_[given.index].push(block);
  }

  void trim() {
    std::lock_guard lock(mutex_);
    empty_into_shared(cache);
    for (int index = 0; index < kClasses; ++index) {
      while (void* block = free_[index].pop()) {
        to_system(block, bytes_of_class(index));
        held_bytes_ -= bytes_of_class(index);
      }
    }
  }

  AllocatorStats stats() {
    std::lock_guard lock(mutex_);
    uint64_t allocations = allocations_;
    for (const ThreadCache* each = caches_; each != nullptr; each = each->next) {
      allocations += each->allocations.load(std::memory_order_relaxed);
    }
    const size_t live = ledger.live();
    return {.live_bytes = live,
            .peak_bytes = ledger.peak(),
            .cached_bytes =
                std::max(held_bytes_, live) - live,  // a block on its way from the system may count as live only
            .allocations = allocations,
            .system_calls = system_calls_};
  }

  void open(ThreadCache& opened) {
    std::lock_guard lock(mutex_);
    for (int index = 0; index < kSmallClasses; ++index) {
      opened.lists[index].room = static_cast<uint32_t>(kThreadKeeps / bytes_of_class(index));
    }
    opened.next = std::exchange(caches_, &opened);
    opened.state = ThreadCache::State::open;
  }

  void close(ThreadCache& closed) {
    std::lock_guard lock(mutex_);
    empty_into_shared(closed);
    for (auto& list : closed.lists) {
      list.room = 0;
    }
    allocations_ += closed.allocations.load(std::memory_order_relaxed);
    ThreadCache** link = &caches_;
    while (*link != &closed) {
      link = &(*link)->next;
    }
    *link = closed.next;
    closed.state = ThreadCache::State::closed;
  }

 private:
  void empty_into_shared(ThreadCache& from) {
    for (int index = 0; index < kSmallClasses; ++index) {
      while (void* block = from.lists[index].pop()) {
        free_[index].push(block);
        ++from.lists[index].room;
      }
    }
  }

  std::mutex mutex_;
  FreeList free_[kClasses];
  ThreadCache* caches_ = nullptr;
  size_t held_bytes_ = 0;  // taken from the system and not returned: live or kept
  uint64_t allocations_ = 0;
  uint64_t system_calls_ = 0;
};

// Never destroyed: tensors in static storage may outlive any order of destruction.
SharedBlocks& shared_blocks() {
  static auto* const instance = new SharedBlocks;
  return *instance;
}

// The first block that a thread frees opens its cache; the thread's end closes it.
void open_cache() {
  struct Closer {
    Closer() { shared_blocks().open(cache); }
    ~Closer() { shared_blocks().close(cache); }
  };
  static thread_local const Closer closer;
}

}  // namespace

void* allocate(size_t bytes) {
  const SizeClass wanted = size_class(bytes);
  ledger.charge(wanted.bytes);
  void* block = cache.take(wanted);
  if (block == nullptr) {
    block = shared_blocks().take(wanted);
  }
  if (block == nullptr) {
    ledger.refund(wanted.bytes);
    throw std::bad_alloc();
  }
  return block;
}

void deallocate(void* block, size_t bytes) noexcept {
  const SizeClass given = size_class(bytes);
  ledger.refund(given.bytes);
  if (cache.keep(block, given)) {
    return;
  }
  shared_blocks().put(block, given);
  if (cache.state == ThreadCache::State::fresh) {
    open_cache();
  }
}

AllocatorStats allocator_stats() { return shared_blocks().stats(); }
void reset_peak() { ledger.reset_peak(); }
void trim() { shared_blocks().trim(); }
void set_memory_cap(size_t bytes) { ledger.set_cap(bytes != 0 ? bytes : std::numeric_limits<size_t>::max()); }

}  // namespace sfumato
