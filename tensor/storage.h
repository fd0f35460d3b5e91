// Storage: one block of memory shared by every tensor that views it, with a counter of modifications.
//
// The counter is what makes saved tensors safe: autograd remembers it when it saves a tensor and compares it when the
// backward pass reads that tensor again. `Tensor::mutable_data()` is the only door to writing, and bumps it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace sfumato {

// The header of a block; the elements follow it at the next 64-byte boundary, so that a tensor is one allocation.
class Storage {
 public:
  static Storage* create(size_t bytes);

  void* data() { return reinterpret_cast<char*>(this) + kHeader; }
  size_t bytes() const { return bytes_; }
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }
  int64_t use_count() const { return uses_.load(std::memory_order_acquire); }

  void retain() { uses_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      destroy();
    }
  }

 private:
  static constexpr size_t kHeader = 64;
  explicit Storage(size_t bytes) : bytes_(bytes) {}
  void destroy() noexcept;

  std::atomic<int64_t> uses_{1};
  std::atomic<uint64_t> version_{0};
  size_t bytes_;
};

// Shared ownership of a Storage; null for a default-constructed tensor.
class StoragePtr {
 public:
  StoragePtr() = default;
  explicit StoragePtr(Storage* adopted) : storage_(adopted) {}
  StoragePtr(const StoragePtr& other) : storage_(other.storage_) {
    if (storage_ != nullptr) {
      storage_->retain();
    }
  }
  StoragePtr(StoragePtr&& other) noexcept : storage_(std::exchange(other.storage_, nullptr)) {}
  StoragePtr& operator=(StoragePtr other) noexcept {
    std::swap(storage_, other.storage_);
    return *this;
  }
  ~StoragePtr() {
    if (storage_ != nullptr) {
      storage_->release();
    }
  }

  Storage* get() const { return storage_; }
  Storage* operator->() const { return storage_; }
  explicit operator bool() const { return storage_ != nullptr; }
  friend bool operator==(const StoragePtr& a, const StoragePtr& b) { return a.storage_ == b.storage_; }

 private:
  Storage* storage_ = nullptr;
};

}  // namespace sfumato
