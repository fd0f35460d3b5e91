// Random shapes, arguments and tensors for one sample of a table row ("tests/ops/table/row.h"): a function of (op,
// dtype, kind of sizes, number of the draw), so a failure can be repeated.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "tensor/random.h"
#include "tensor/tensor.h"

namespace sfumato::testing {

enum class Sizes {
  any,     // primes and sizes around those of vectors and cache blocks; now and then enough for two threads
  small,   // a handful of elements, for derivatives by differences
  empty,   // one dimension is 0
  scalar,  // rank 0 where the op takes that, else small
};

class Draw {
 public:
  Draw(std::string_view op, DType dtype, Sizes sizes, int64_t number);

  DType dtype() const { return dtype_; }
  bool integers() const { return kIntegers.contains(dtype_); }
  Sizes sizes() const { return sizes_; }

  // Uniform in low..high, both included.
  int64_t integer(int64_t low, int64_t high);
  bool chance(double probability = 0.5);
  template <class T>
  T pick(std::initializer_list<T> values) {
    return values.begin()[integer(0, static_cast<int64_t>(values.size()) - 1)];
  }

  // The size of one dimension, at least 1, and at most `most`.
  int64_t size(int64_t most = 300);
  // The size of the dimension that is 0 in an empty draw: a batch, say.
  int64_t batch(int64_t most = 8);
  Shape shape(int min_rank = 0, int max_rank = 4);
  // Two shapes that broadcast to a third; equal ones in half of the draws.
  struct Pair {
    Shape a, b;
  };
  Pair broadcast_pair();
  // A dimension of `shape` (rank 1 at least), counted from the front or from the back.
  int64_t dim(const Shape& shape);
  // Some dimensions of `shape`, maybe none, which means all.
  Dims dims(const Shape& shape);

  // Values are rounded to the draw's dtype. For integers the interval is scaled by 10 first, and u8 takes magnitudes.
  Tensor uniform(const Shape& shape, double low, double high);
  Tensor normal(const Shape& shape) { return uniform(shape, -1.5, 1.5); }
  Tensor positive(const Shape& shape) { return uniform(shape, 0.3, 2); }
  // normal(), or bits() in a draw of bool: for ops that only move elements.
  Tensor any(const Shape& shape) { return dtype_ == DType::boolean ? bits(shape) : normal(shape); }
  // Away from 0 by a tenth at least, of both signs: for kinks and poles there.
  Tensor off_zero(const Shape& shape);
  // All elements differ by more than any step of a difference quotient: for extrema and sorting.
  Tensor distinct(const Shape& shape);
  // 0 or 1.
  Tensor bits(const Shape& shape);
  // i64 in 0..size-1; bool.
  Tensor indices(const Shape& shape, int64_t size);
  Tensor mask(const Shape& shape);

 private:
  uint64_t next();
  Tensor rounded(const Tensor& values) const;

  DType dtype_;
  Sizes sizes_;
  RandomStream stream_;
  uint32_t words_drawn_ = 0;
  int64_t tensors_drawn_ = 0;
};

}  // namespace sfumato::testing
