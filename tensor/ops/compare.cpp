#include "tensor/ops/compare.h"

#include <atomic>
#include <cmath>
#include <functional>
#include <limits>

#include "tensor/iterator.h"

namespace sfumato {
namespace {

using Run = ElementwiseIterator::Run;
constexpr int64_t kGrain = 1 << 15;  // elements below which a second thread does not pay

template <class T, class Compare>
void compare_run(const T* a, int64_t a_stride, const T* b, int64_t b_stride, bool* out, int64_t count) {
  const Compare compare;
  if (a_stride == 1 && b_stride == 1) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = compare(a[i], b[i]);
    }
  } else if (a_stride == 1 && b_stride == 0) {
    const T value = *b;
    for (int64_t i = 0; i < count; ++i) {
      out[i] = compare(a[i], value);
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = compare(a[i * a_stride], b[i * b_stride]);
    }
  }
}

template <class Compare>
Tensor compare(std::string_view op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype()) {
    const DType common = promote_types(a.dtype(), b.dtype());
    return compare<Compare>(op, a.to(common), b.to(common));
  }
  if (a.dtype() == DType::bf16) {
    return compare<Compare>(op, a.to(DType::f32), b.to(DType::f32));
  }
  Tensor out = Tensor::empty(broadcast_shapes(op, a.shape(), b.shape()), DType::boolean);
  bool* to = out.mutable_data<bool>();
  dispatch<kReals | kIntegers | DTypeSet{DType::boolean}>(op, a.dtype(), [&]<class T>() {
    const T* from_a = a.data<T>();
    const T* from_b = b.data<T>();
    // The output is contiguous, so its stride inside a run is always 1.
    ElementwiseIterator(out.shape(), {&out, &a, &b}).for_each_run(kGrain, [&](const Run& run) {
      compare_run<T, Compare>(from_a + run.offset[1], run.stride[1], from_b + run.offset[2], run.stride[2],
                              to + run.offset[0], run.count);
    });
  });
  return out;
}

// Whether `value` survives a conversion to an integer dtype.
bool representable(double value, DType dtype) {
  if (value != std::trunc(value)) {
    return false;
  }
  switch (dtype) {
    case DType::i64: return value >= -0x1p63 && value < 0x1p63;
    case DType::i32: return value >= -0x1p31 && value < 0x1p31;
    case DType::u8: return value >= 0 && value < 256;
    default: return value == 0 || value == 1;
  }
}

// A number never changes a floating tensor's dtype; an integer tensor is compared with 0.5 or 1e30 as the number it is.
template <class Compare>
Tensor compare(std::string_view op, const Tensor& a, double b) {
  if (is_floating(a.dtype()) || representable(b, a.dtype())) {
    return compare<Compare>(op, a, scalar(b, a.dtype()));
  }
  return compare<Compare>(op, a.to(DType::f64), scalar(b, DType::f64));
}

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) { return compare<std::equal_to<>>("eq", a, b); }
Tensor ne(const Tensor& a, const Tensor& b) { return compare<std::not_equal_to<>>("ne", a, b); }
Tensor lt(const Tensor& a, const Tensor& b) { return compare<std::less<>>("lt", a, b); }
Tensor le(const Tensor& a, const Tensor& b) { return compare<std::less_equal<>>("le", a, b); }
Tensor gt(const Tensor& a, const Tensor& b) { return compare<std::greater<>>("gt", a, b); }
Tensor ge(const Tensor& a, const Tensor& b) { return compare<std::greater_equal<>>("ge", a, b); }
Tensor eq(const Tensor& a, double b) { return compare<std::equal_to<>>("eq", a, b); }
Tensor ne(const Tensor& a, double b) { return compare<std::not_equal_to<>>("ne", a, b); }
Tensor lt(const Tensor& a, double b) { return compare<std::less<>>("lt", a, b); }
Tensor le(const Tensor& a, double b) { return compare<std::less_equal<>>("le", a, b); }
Tensor gt(const Tensor& a, double b) { return compare<std::greater<>>("gt", a, b); }
Tensor ge(const Tensor& a, double b) { return compare<std::greater_equal<>>("ge", a, b); }

namespace {

// Logic on bool tensors is comparison: a && b is a > !b, and a || b is a >= !b.
void check_bool(const char* op, const Tensor& x) {
  check(x.dtype() == DType::boolean, op, ": inputs must be bool, got ", x.dtype(), " (ne(x, 0) makes one)");
}

}  // namespace

Tensor logical_not(const Tensor& x) {
  check_bool("logical_not", x);
  return eq(x, 0);
}
Tensor logical_and(const Tensor& a, const Tensor& b) {
  check_bool("logical_and", a);
  check_bool("logical_and", b);
  return compare<std::greater<>>("logical_and", a, logical_not(b));
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  check_bool("logical_or", a);
  check_bool("logical_or", b);
  return compare<std::greater_equal<>>("logical_or", a, logical_not(b));
}
Tensor logical_xor(const Tensor& a, const Tensor& b) {
  check_bool("logical_xor", a);
  check_bool("logical_xor", b);
  return compare<std::not_equal_to<>>("logical_xor", a, b);
}

Tensor isnan(const Tensor& x) { return ne(x, x); }
Tensor isinf(const Tensor& x) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return logical_or(eq(x, infinity), eq(x, -infinity));
}
Tensor isfinite(const Tensor& x) { return logical_not(logical_or(isnan(x), isinf(x))); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  check(condition.dtype() == DType::boolean, "where: the condition must be bool, got ", condition.dtype());
  if (a.dtype() != b.dtype()) {
    const DType common = promote_types(a.dtype(), b.dtype());
    return where(condition, a.to(common), b.to(common));
  }
  const Shape values = broadcast_shapes("where", a.shape(), b.shape());
  Tensor out = Tensor::empty(broadcast_shapes("where", condition.shape(), values), a.dtype());
  const bool* chosen = condition.data<bool>();
  dispatch<kAllDTypes>("where", a.dtype(), [&]<class T>() {
    const T* from_a = a.data<T>();
    const T* from_b = b.data<T>();
    T* to = out.mutable_data<T>();
    ElementwiseIterator(out.shape(), {&out, &condition, &a, &b}).for_each_run(kGrain, [&](const Run& run) {
      for (int64_t i = 0; i < run.count; ++i) {
        const bool first = chosen[run.offset[1] + i * run.stride[1]];
        const T* from = first ? from_a + run.offset[2] + i * run.stride[2] : from_b + run.offset[3] + i * run.stride[3];
        to[run.offset[0] + i] = *from;
      }
    });
  });
  return out;
}

Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  check(mask.dtype() == DType::boolean, "masked_fill: the mask must be bool, got ", mask.dtype());
  check(broadcast_shapes("masked_fill", x.shape(), mask.shape()) == x.shape(), "masked_fill: mask ", mask.shape(),
        " does not broadcast to the input ", x.shape());
  return where(mask, scalar(value, x.dtype()), x);
}

bool all_finite(const Tensor& x) {
  if (!is_floating(x.dtype())) {
    return true;
  }
  std::atomic<bool> finite{true};
  dispatch<kFloats>("all_finite", x.dtype(), [&]<class T>() {
    using Value = Compute<T>;
    const T* from = x.data<T>();
    ElementwiseIterator(x.shape(), {&x}).for_each_run(kGrain, [&](const Run& run) {
      // v - v is 0 for a finite v and NaN for any other; no branch in the loop, so that it vectorises.
      int bad = 0;
      for (int64_t i = 0; i < run.count; ++i) {
        const auto v = static_cast<Value>(from[run.offset[0] + i * run.stride[0]]);
        bad |= (v - v) != Value(0);
      }
      if (bad != 0) {
        finite.store(false, std::memory_order_relaxed);
      }
    });
  });
  return finite;
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol) {
  if (a.dtype() != b.dtype()) {
    const DType common = promote_types(a.dtype(), b.dtype());
    return allclose(a.to(common), b.to(common), rtol, atol);
  }
  const Shape shape = broadcast_shapes("allclose", a.shape(), b.shape());
  std::atomic<bool> close{true};
  dispatch<kAllDTypes>("allclose", a.dtype(), [&]<class T>() {
    const T* from_a = a.data<T>();
    const T* from_b = b.data<T>();
    ElementwiseIterator(shape, {&a, &b}).for_each_run(kGrain, [&](const Run& run) {
      for (int64_t i = 0; i < run.count; ++i) {
        using Value = Compute<T>;
        const auto x = static_cast<double>(static_cast<Value>(from_a[run.offset[0] + i * run.stride[0]]));
        const auto y = static_cast<double>(static_cast<Value>(from_b[run.offset[1] + i * run.stride[1]]));
        // Equal infinities are close; an infinity is close to nothing else, though its tolerance would be infinite.
        if (!(x == y || (std::isfinite(y) && std::abs(x - y) <= atol + rtol * std::abs(y)))) {
          close.store(false, std::memory_order_relaxed);
          return;
        }
      }
    });
  });
  return close;
}

}  // namespace sfumato
