// Ref<T>: shared ownership of an object that counts its owners itself, so that sharing costs no second allocation.
//
//   class Storage : public RefCounted<Storage> { ... void destroy() noexcept; };   // what happens without owners
//   Ref<Storage> a = Ref<Storage>::adopt(new Storage);   // takes over the one owner that a new object counts
//   Ref<Storage> b = a;                                  // a.use_count() == 2
//
// Owners may live in different threads, as with std::shared_ptr.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace sfumato {

template <class T>
class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  int64_t use_count() const { return uses_.load(std::memory_order_acquire); }
  void add_owner() const { uses_.fetch_add(1, std::memory_order_relaxed); }
  // The last owner calls T::destroy().
  void drop_owner() noexcept {
    // The only owner has nobody to agree with, which saves the atomic subtraction.
    if (use_count() == 1 || uses_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      static_cast<T*>(this)->destroy();
    }
  }

 protected:
  RefCounted() = default;
  ~RefCounted() = default;

 private:
  mutable std::atomic<int64_t> uses_{1};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as a pointer
  // One owner more.
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) {
      object_->add_owner();
    }
  }
  // In place of the owner that a new object counts.
  static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  // From a derived class.
  template <class U, class = std::enable_if_t<std::is_convertible_v<U*, T*>>>
  Ref(Ref<U>&& other) noexcept : object_(other.detach()) {}  // NOLINT(google-explicit-constructor): as a pointer
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) {
      object_->drop_owner();
    }
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  int64_t use_count() const { return object_ != nullptr ? object_->use_count() : 0; }
  // Gives the ownership to the caller.
  T* detach() noexcept { return std::exchange(object_, nullptr); }

  friend bool operator==(const Ref& a, const Ref& b) { return a.object_ == b.object_; }
  friend bool operator==(const Ref& a, std::nullptr_t) { return a.object_ == nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace sfumato
