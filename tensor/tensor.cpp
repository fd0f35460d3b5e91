#include "tensor/tensor.h"

#include <cstring>

#include "tensor/cost.h"
#include "tensor/iterator.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

// Elements per part when copying in parallel: below this a parallel region costs more than it saves.
constexpr int64_t kCopyGrain = 1 << 15;

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, BFloat16>) {
    return convert<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return BFloat16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else {
    return static_cast<To>(value);
  }
}

template <class To, class From>
void copy_elements(const Tensor& source, Tensor& target) {
  const From* from = source.data<From>();
  To* to = target.mutable_data<To>();
  ElementwiseIterator(target.shape(), {&target, &source}).for_each_run(kCopyGrain, [&](const auto& run) {
    To* out = to + run.offset[0];
    const From* in = from + run.offset[1];
    if (std::is_same_v<To, From> && run.stride[0] == 1 && run.stride[1] == 1) {
      std::memcpy(static_cast<void*>(out), in, static_cast<size_t>(run.count) * sizeof(To));
      return;
    }
    for (int64_t i = 0; i < run.count; ++i) {
      out[i * run.stride[0]] = convert<To>(in[i * run.stride[1]]);
    }
  });
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype) {
  Tensor tensor;
  tensor.numel_ = checked_numel("empty", shape);
  tensor.storage_ = Storage::create(static_cast<size_t>(tensor.numel_) * size_of(dtype));
  tensor.shape_ = shape;
  tensor.strides_ = contiguous_strides(shape);
  tensor.dtype_ = dtype;
  return tensor;
}

void Tensor::set_layout(const Shape& shape, const Strides& strides) {
  shape_ = shape;
  strides_ = strides;
  numel_ = shape.numel();
  contiguous_ = true;
  int64_t expected = 1;
  for (int d = shape.rank() - 1; d >= 0 && numel_ > 0; --d) {
    contiguous_ &= shape[d] == 1 || strides[d] == expected;
    expected *= shape[d];
  }
}

Tensor Tensor::as_strided(const Shape& shape, const Strides& strides, int64_t offset) const {
  check(defined(), "as_strided: the tensor is undefined");
  check(shape.rank() == strides.rank(), "as_strided: ", shape.rank(), " sizes but ", strides.rank(), " strides");
  int64_t last = offset;
  for (int d = 0; d < shape.rank(); ++d) {
    check(shape[d] >= 0 && strides[d] >= 0, "as_strided: negative size or stride in ", shape, ", ", strides);
    last += shape[d] > 0 ? (shape[d] - 1) * strides[d] : 0;
  }
  const auto capacity = static_cast<int64_t>(storage_->bytes() / size_of(dtype_));
  check(offset >= 0 && (shape.numel() == 0 || last < capacity), "as_strided: element ", last,
        " lies outside the storage of ", capacity, " elements");
  Tensor view = *this;
  view.offset_ = offset;
  view.set_layout(shape, strides);
  return view;
}

double Tensor::item() const {
  check(numel() == 1, "item: the tensor must have one element, its shape is ", shape_);
  return dispatch<kAllDTypes>("item", dtype_, [&]<class T>() { return convert<double>(data<T>()[0]); });
}

std::vector<double> Tensor::to_vector() const {
  const Tensor flat = contiguous();
  std::vector<double> values(static_cast<size_t>(numel()));
  dispatch<kAllDTypes>("to_vector", dtype_, [&]<class T>() {
    const T* from = flat.data<T>();
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = convert<double>(from[i]);
    }
  });
  return values;
}

Tensor Tensor::contiguous() const { return contiguous_ ? *this : clone(); }

Tensor Tensor::clone() const {
  check(defined(), "clone: the tensor is undefined");
  Tensor copy = empty(shape_, dtype_);
  copy.copy_from(*this);
  return copy;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) {
    return *this;
  }
  check(defined(), "to: the tensor is undefined");
  Tensor copy = empty(shape_, dtype);
  copy.copy_from(*this);
  return copy;
}

Tensor Tensor::reshape(const Shape& shape) const { return sfumato::reshape(*this, shape); }

void Tensor::copy_from(const Tensor& source) {
  check(defined() && source.defined(), "copy_from: undefined tensor");
  check(broadcast_shapes("copy_from", shape_, source.shape()) == shape_, "copy_from: a source of shape ",
        source.shape(), " does not broadcast to ", shape_);
  report_cost("copy", {&source, this});
  dispatch<kAllDTypes>("copy_from", dtype_, [&]<class To>() {
    dispatch<kAllDTypes>("copy_from", source.dtype(), [&]<class From>() { copy_elements<To, From>(source, *this); });
  });
}

void Tensor::fill(double value) {
  check(defined(), "fill: the tensor is undefined");
  dispatch<kAllDTypes>("fill", dtype_, [&]<class T>() {
    const T converted = convert<T>(value);
    T* to = mutable_data<T>();
    ElementwiseIterator(shape_, {this}).for_each_run(kCopyGrain, [&](const auto& run) {
      for (int64_t i = 0; i < run.count; ++i) {
        to[run.offset[0] + i * run.stride[0]] = converted;
      }
    });
  });
}

namespace {

// The first and last three entries of a longer dimension are printed.
constexpr int64_t kPrintEdge = 3;

void print_dimension(
    const Tensor& tensor, const std::vector<double>& values, int d, int64_t& at, int64_t stride, std::string& text) {
  if (d == tensor.dim()) {
    text += fmt::format("{:.6g}", values[static_cast<size_t>(at)]);
    return;
  }
  const int64_t size = tensor.shape()[d];
  const int64_t inner = size > 0 ? stride / size : 0;
  const int64_t first = at;
  text += "[";
  for (int64_t i = 0; i < size; ++i) {
    if (size > 2 * kPrintEdge && i == kPrintEdge) {
      text += ", ...";
      i = size - kPrintEdge - 1;
      continue;
    }
    text += i > 0 ? ", " : "";
    at = first + i * inner;
    print_dimension(tensor, values, d + 1, at, inner, text);
  }
  at = first;
  text += "]";
}

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) {
    return "undefined tensor";
  }
  std::string text;
  int64_t at = 0;
  print_dimension(tensor, tensor.to_vector(), 0, at, tensor.numel(), text);
  return text + " " + to_string(tensor.dtype()) + " " + to_string(tensor.shape());
}

}  // namespace sfumato
