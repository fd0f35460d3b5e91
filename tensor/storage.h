// Storage: one block of memory shared by every tensor that views it, with a counter of modifications.
//
// The counter is what makes saved tensors safe: autograd remembers it when it saves a tensor and compares it when the
// backward pass reads that tensor again. `Tensor::mutable_data()` is the only door to writing, and bumps it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "tensor/ref.h"

namespace sfumato {

// The header of a block; the elements follow it at the next 64-byte boundary, so that a tensor is one allocation.
class Storage : public RefCounted<Storage> {
 public:
  static Ref<Storage> create(size_t bytes);
  void destroy() noexcept;

  void* data() { return reinterpret_cast<char*>(this) + kHeader; }
  size_t bytes() const { return bytes_; }
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  // No atomic addition: who writes has the elements to itself, and of two writers one would do, for the count changes.
  void bump_version() { version_.store(version() + 1, std::memory_order_relaxed); }

 private:
  static constexpr size_t kHeader = 64;
  explicit Storage(size_t bytes) : bytes_(bytes) {}

  std::atomic<uint64_t> version_{0};
  size_t bytes_;
};

}  // namespace sfumato
