// Tensor: a value handle on shared storage with a shape, strides and a dtype. Copying a Tensor copies the handle.
//
//   Tensor x = full({2, 3}, 1.5);          // f32
//   x.mutable_data<float>()[0] = 7;        // bumps the storage's modification counter
//   Tensor y = transpose(x, 0, 1);         // a view of the same memory ("tensor/ops/view.h")
//   Tensor z = x * 2.0 + y.contiguous().reshape({2, 3});
//
// Layout is row-major ("plain NCHW" for images) unless a view says otherwise; `contiguous()` copies only if needed.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"
#include "tensor/storage.h"

namespace sfumato {

class Tensor {
 public:
  // An undefined tensor: no storage, no dtype to speak of; `defined()` is false.
  Tensor() = default;

  // Uninitialised memory of the given shape.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32);

  bool defined() const { return static_cast<bool>(storage_); }
  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }
  DType dtype() const { return dtype_; }
  int dim() const { return shape_.rank(); }
  int64_t numel() const { return numel_; }
  // Size and stride (in elements) of one dimension; negative dims count from the end.
  int64_t size(int64_t d) const { return shape_[normalize_dim("size", d, dim())]; }
  int64_t stride(int64_t d) const { return strides_[normalize_dim("stride", d, dim())]; }
  int64_t storage_offset() const { return offset_; }
  bool is_contiguous() const { return contiguous_; }

  // Typed access to the first element; throws when T is not the dtype.
  template <class T>
  const T* data() const {
    require_dtype(dtype_of<T>);
    return static_cast<const T*>(raw_data());
  }
  template <class T>
  T* mutable_data() {
    require_dtype(dtype_of<T>);
    return static_cast<T*>(mutable_raw_data());
  }
  const void* raw_data() const {
    return storage_ ? static_cast<const char*>(storage_->data()) + offset_ * static_cast<int64_t>(size_of(dtype_))
                    : nullptr;
  }
  void* mutable_raw_data() {
    if (storage_) {
      storage_->bump_version();
    }
    return const_cast<void*>(raw_data());
  }

  // How often the storage has been written through mutable_data(); views share the count.
  uint64_t version() const { return storage_ ? storage_->version() : 0; }
  int64_t storage_use_count() const { return storage_ ? storage_->use_count() : 0; }
  bool shares_storage_with(const Tensor& other) const { return defined() && storage_ == other.storage_; }

  // The value of a tensor of one element, converted to double.
  double item() const;
  // All elements in row-major order, converted to double. For tests and printing.
  std::vector<double> to_vector() const;

  // This tensor if it is row-major without gaps, else a copy that is.
  Tensor contiguous() const;
  // A contiguous copy with storage of its own.
  Tensor clone() const;
  // This tensor if it has the dtype already, else a converted copy.
  Tensor to(DType dtype) const;
  // See reshape() in "tensor/ops/view.h".
  Tensor reshape(const Shape& shape) const;

  // Overwrites every element from `source` (broadcast and converted to this dtype); the tensor may be a view.
  void copy_from(const Tensor& source);
  void fill(double value);

  // A view of the same storage; strides in elements, offset counted from the storage's beginning. Throws when an
  // element would lie outside it.
  Tensor as_strided(const Shape& shape, const Strides& strides, int64_t offset) const;

 private:
  void require_dtype(DType wanted) const {
    check(wanted == dtype_, "tensor: data<", wanted, ">() on a tensor of dtype ", dtype_);
  }
  void set_layout(const Shape& shape, const Strides& strides);

  Ref<Storage> storage_;
  int64_t offset_ = 0;
  int64_t numel_ = 0;
  Shape shape_;
  Strides strides_;
  DType dtype_ = DType::f32;
  bool contiguous_ = true;
};

// "[[1, 2], [3, 4]] f32 (2, 2)"; long dimensions are shortened.
std::string to_string(const Tensor& tensor);

}  // namespace sfumato

// The factories are part of what a user expects from this header.
#include "tensor/ops/creation.h"
