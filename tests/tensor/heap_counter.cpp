// The test program's operator new: malloc and a counter.
#include "tensor/heap_counter.h"

#include <cstdlib>
#include <new>

namespace {

constinit thread_local uint64_t calls = 0;

}  // namespace

uint64_t operator_new_calls() { return calls; }

void* operator new(size_t bytes) {
  ++calls;
  if (void* block = std::malloc(bytes > 0 ? bytes : 1)) {
    return block;
  }
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t /*bytes*/) noexcept { std::free(block); }
