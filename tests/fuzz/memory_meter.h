// How much memory one call takes at its peak: the heap, C libraries included, and tensors.
//
//   const MemoryMeter meter;                  // from here on, in this thread and every other
//   read(input);
//   if (meter.peak() > limit) ...
//
// The heap is only seen through the address sanitizer, which tells of every malloc and free; without it, tensors alone
// are counted. Small tensors' memory is heap memory too and counts twice: what is said is an upper bound.
#pragma once

#include <cstddef>

namespace sfumato::fuzz {

class MemoryMeter {
 public:
  MemoryMeter();
  // Bytes above what was there when it was made.
  size_t peak() const;
  static bool sees_heap();

 private:
  size_t heap_, tensors_;
};

}  // namespace sfumato::fuzz
