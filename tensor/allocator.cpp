#include "tensor/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "tensor/dry_run.h"

namespace sfumato {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kLargeBlock = size_t{1} << 20;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int kClassesPerOctave = 4;
constexpr int kClasses = 64 * kClassesPerOctave;

struct SizeClass {
  int index;
  size_t bytes;
};

// 64, 80, 96, 112, 128, 160, ...: the leading bit picks the octave, the next two the class within it.
SizeClass size_class(size_t bytes) {
  bytes = std::max(bytes, kAlignment);
  const int octave = std::bit_width(bytes - 1) - 1;  // the largest power of two below `bytes`
  const size_t base = size_t{1} << octave;
  const size_t step = std::max(base / kClassesPerOctave, size_t{16});
  const size_t steps = (bytes - base + step - 1) / step;
  return {octave * kClassesPerOctave + static_cast<int>(steps), base + steps * step};
}

class CachingAllocator {
 public:
  void* allocate(size_t bytes) {
    const SizeClass wanted = size_class(bytes);
    {
      std::lock_guard lock(mutex_);
      if (cap_ != 0 && stats_.live_bytes + wanted.bytes > cap_) {
        throw std::bad_alloc();
      }
      ++stats_.allocations;
      stats_.live_bytes += wanted.bytes;
      stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.live_bytes);
      auto& list = free_[wanted.index];
      if (!list.empty()) {
        void* block = list.back();
        list.pop_back();
        stats_.cached_bytes -= wanted.bytes;
        return block;
      }
      ++stats_.system_calls;
    }
    void* block = from_system(wanted.bytes);
    if (block == nullptr) {
      trim();
      block = from_system(wanted.bytes);
    }
    if (block == nullptr) {
      std::lock_guard lock(mutex_);
      stats_.live_bytes -= wanted.bytes;
      throw std::bad_alloc();
    }
    return block;
  }

  void deallocate(void* block, size_t bytes) noexcept {
    const SizeClass given = size_class(bytes);
    std::lock_guard lock(mutex_);
    stats_.live_bytes -= given.bytes;
    try {
      free_[given.index].push_back(block);
      stats_.cached_bytes += given.bytes;
    } catch (const std::bad_alloc&) {
      to_system(block, given.bytes);
    }
  }

  void trim() {
    std::lock_guard lock(mutex_);
    for (int index = 0; index < kClasses; ++index) {
      const size_t base = size_t{1} << (index / kClassesPerOctave);
      const size_t step = std::max(base / kClassesPerOctave, size_t{16});
      const size_t bytes = base + static_cast<size_t>(index % kClassesPerOctave) * step;
      for (void* block : free_[index]) {
        to_system(block, bytes);
        stats_.cached_bytes -= bytes;
      }
      free_[index].clear();
    }
  }

  AllocatorStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak_bytes = stats_.live_bytes;
  }
  void set_cap(size_t bytes) {
    std::lock_guard lock(mutex_);
    cap_ = bytes;
  }

 private:
  static bool is_large(size_t bytes) { return bytes >= kLargeBlock; }

  // Large blocks are mapped with room to align them by hand, and the rest unmapped again.
  static void* from_system(size_t bytes) {
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

  static void to_system(void* block, size_t bytes) noexcept {
    if (is_large(bytes)) {
      munmap(block, bytes);
    } else {
      std::free(block);
    }
  }

  std::mutex mutex_;
  std::vector<void*> free_[kClasses];
  AllocatorStats stats_;
  size_t cap_ = 0;
};

// Never destroyed: tensors in static storage may outlive any order of destruction.
CachingAllocator& allocator() {
  static auto* const instance = new CachingAllocator;
  return *instance;
}

}  // namespace

void* allocate(size_t bytes) { return allocator().allocate(bytes); }
void deallocate(void* block, size_t bytes) noexcept { allocator().deallocate(block, bytes); }
AllocatorStats allocator_stats() { return allocator().stats(); }
void reset_peak() { allocator().reset_peak(); }
void trim() { allocator().trim(); }
void set_memory_cap(size_t bytes) { allocator().set_cap(bytes); }

}  // namespace sfumato
