// The caching allocator under every tensor: freed blocks are kept by size class and handed out again, because the first
// touch of fresh memory costs far more than the arithmetic done in it.
//
//   void* block = allocate(bytes);      // 64-byte aligned
//   deallocate(block, bytes);           // the same bytes
//   allocator_stats().peak_bytes;       // since start or reset_peak()
//
// Sizes are rounded up to classes (four per power of two, so at most 25 % is lost). Blocks of 1 MiB and more come from
// their own mappings, aligned to 2 MiB and marked for huge pages.
//
// Thread-safe. A thread keeps the small blocks (up to 8 KiB) that it frees, at most 64 KiB per class, and so takes and
// frees most of its small tensors without a lock; a block may be freed by any thread. What it keeps becomes everybody's
// when the thread ends. The statistics are exact all the same.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sfumato {

struct AllocatorStats {
  size_t live_bytes = 0;      // handed out now, in rounded sizes
  size_t peak_bytes = 0;      // the largest live_bytes seen since the last reset_peak()
  size_t cached_bytes = 0;    // freed, kept for reuse, by whichever thread
  uint64_t allocations = 0;   // calls of allocate()
  uint64_t system_calls = 0;  // how many of them had to ask the system
};

// Throws std::bad_alloc when the system or the cap refuses. Zero bytes give a valid block.
void* allocate(size_t bytes);
void deallocate(void* block, size_t bytes) noexcept;

AllocatorStats allocator_stats();
void reset_peak();

// Returns cached blocks to the system: the shared ones and this thread's. What other threads keep stays theirs.
void trim();

// Upper bound on live bytes; 0 (the default) means none.
void set_memory_cap(size_t bytes);

}  // namespace sfumato
