// Counts what the test program takes from the heap, so that tests can say how much a call may take.
//
//   const HeapCount count;
//   const Tensor c = a + b;
//   CHECK(count.news() == 0);      // calls of operator new in this thread since `count` was made
//   CHECK(count.tensors() == 1);   // calls of allocate() in any thread
#pragma once

#include <cstdint>

#include "tensor/allocator.h"

// Calls of operator new in this thread, ever.
uint64_t operator_new_calls();

class HeapCount {
 public:
  uint64_t news() const { return operator_new_calls() - news_; }
  uint64_t tensors() const { return sfumato::allocator_stats().allocations - tensors_; }

 private:
  uint64_t tensors_ = sfumato::allocator_stats().allocations;
  uint64_t news_ = operator_new_calls();
};
