#include "tests/fuzz/memory_meter.h"

#include <atomic>

#include "tensor/allocator.h"

#if defined(__SANITIZE_ADDRESS__)
#define SFUMATO_FUZZ_HOOKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SFUMATO_FUZZ_HOOKS 1
#endif
#endif
#ifdef SFUMATO_FUZZ_HOOKS
// gcc 12 has the functions and no header for them.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));
extern "C" size_t __sanitizer_get_allocated_size(const volatile void* block);
#endif

namespace sfumato::fuzz {
namespace {

std::atomic<size_t> live{0}, highest{0};

#ifdef SFUMATO_FUZZ_HOOKS
void on_malloc(const volatile void*, size_t bytes) {
  const size_t now = live.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (now > highest.load(std::memory_order_relaxed)) highest.store(now, std::memory_order_relaxed);
}

// Blocks that are older than the hooks would make the count negative: it is only compared with itself, so may wrap.
void on_free(const volatile void* block) {
  if (block != nullptr) live.fetch_sub(__sanitizer_get_allocated_size(block), std::memory_order_relaxed);
}

const bool installed = [] {
  live = size_t{1} << 40;  // far from wrapping
  return __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) != 0;
}();
#else
constexpr bool installed = false;
#endif

}  // namespace

bool MemoryMeter::sees_heap() { return installed; }

MemoryMeter::MemoryMeter() : heap_(live), tensors_(allocator_stats().live_bytes) {
  highest.store(heap_);
  reset_peak();
}

size_t MemoryMeter::peak() const { return highest - heap_ + allocator_stats().peak_bytes - tensors_; }

}  // namespace sfumato::fuzz
