// Scratch memory of a kernel, from the caching allocator, freed at the end of the scope.
//
//   Workspace scratch(winograd_workspace_bytes(shape, pass));
//   winograd_forward(shape, x, w, bias, y, scratch.data());
#pragma once

#include <cstddef>
#include <utility>

#include "tensor/allocator.h"

namespace sfumato {

class Workspace {
 public:
  // No memory: data() is null.
  Workspace() = default;
  // 64-byte aligned, uninitialised. Throws std::bad_alloc.
  explicit Workspace(size_t bytes) : data_(allocate(bytes)), bytes_(bytes) {}
  Workspace(Workspace&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Workspace& operator=(Workspace&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Workspace() {
    if (data_ != nullptr) {
      deallocate(data_, bytes_);
    }
  }

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }

 private:
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace sfumato
