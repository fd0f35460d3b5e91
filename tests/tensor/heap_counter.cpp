// The test program's operator new: malloc and a counter. The array forms call these, except under the address
// sanitizer, which has its own for both; so every form that meets a plain delete stands here.
#include "tensor/heap_counter.h"

#include <cstdlib>
#include <new>

namespace {

constinit thread_local uint64_t calls = 0;

void* counted(void* block) {
  ++calls;
  return block != nullptr ? block : throw std::bad_alloc();
}

}  // namespace

uint64_t operator_new_calls() { return calls; }

void* operator new(size_t bytes) { return counted(std::malloc(bytes > 0 ? bytes : 1)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  const auto unit = static_cast<size_t>(alignment);
  return counted(std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit));
}
void* operator new(size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  ++calls;
  return std::malloc(bytes > 0 ? bytes : 1);
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t& /*tag*/) noexcept { std::free(block); }
void operator delete(void* block, size_t /*bytes*/) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t /*alignment*/) noexcept { std::free(block); }
void operator delete(void* block, size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept { std::free(block); }
