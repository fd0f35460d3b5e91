// Shapes and strides: up to 8 dimensions, held inline so that making a tensor never allocates for them.
//
//   Shape s{2, 3, 4};            // s.rank() == 3, s.numel() == 24
//   contiguous_strides(s);       // {12, 4, 1}, in elements
//   broadcast_shapes("add", {4, 1}, {3});   // {4, 3}
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "tensor/check.h"

namespace sfumato {

inline constexpr int kMaxRank = 8;

// A short list of integers; as Shape it counts elements per dimension, as Strides the steps between them.
class Dims {
 public:
  Dims() {}  // NOLINT(modernize-use-equals-default): rank 0; the entries stay as they are
  Dims(std::initializer_list<int64_t> values) : Dims(std::span<const int64_t>(values.begin(), values.size())) {}
  explicit Dims(std::span<const int64_t> values) {
    check(values.size() <= kMaxRank, "shape: at most 8 dimensions, got ", values.size());
    for (const int64_t value : values) {
      values_[rank_++] = value;
    }
  }
  static Dims filled(int rank, int64_t value) {
    Dims dims;
    check(rank >= 0 && rank <= kMaxRank, "shape: at most 8 dimensions, got ", rank);
    dims.rank_ = rank;
    std::fill_n(dims.values_, rank, value);
    return dims;
  }

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t& operator[](int i) { return values_[i]; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + rank_; }
  std::span<const int64_t> span() const { return {values_, static_cast<size_t>(rank_)}; }

  void push_back(int64_t value) {
    check(rank_ < kMaxRank, "shape: at most 8 dimensions");
    values_[rank_++] = value;
  }
  void insert(int at, int64_t value) {
    ensure(at >= 0 && at <= rank_, "shape: insert at ", at, " of ", rank_);
    push_back(0);
    std::copy_backward(values_ + at, values_ + rank_ - 1, values_ + rank_);
    values_[at] = value;
  }
  void erase(int at) {
    ensure(at >= 0 && at < rank_, "shape: erase at ", at, " of ", rank_);
    std::copy(values_ + at + 1, values_ + rank_, values_ + at);
    --rank_;
  }

  // The product of the entries: 1 for rank 0.
  int64_t numel() const {
    int64_t product = 1;
    for (int i = 0; i < rank_; ++i) {
      product *= values_[i];
    }
    return product;
  }

  // A loop of its own: shapes are too short for a call of memcmp().
  friend bool operator==(const Dims& a, const Dims& b) {
    bool equal = a.rank_ == b.rank_;
    for (int i = 0; equal && i < a.rank_; ++i) {
      equal = a.values_[i] == b.values_[i];
    }
    return equal;
  }

 private:
  int64_t values_[kMaxRank];
  int rank_ = 0;
};

using Shape = Dims;
using Strides = Dims;

// "(2, 3)", "(5,)" and "()", as PyTorch and numpy print them.
std::string to_string(const Dims& dims);

// Row-major strides in elements.
Strides contiguous_strides(const Shape& shape);

// The shape that `a` and `b` broadcast to (numpy's rule); throws naming `op` when they do not.
Shape broadcast_shapes(std::string_view op, const Shape& a, const Shape& b);

// Maps -rank..rank-1 to 0..rank-1; throws naming `op` when out of range. Rank 0 accepts -1 and 0.
int normalize_dim(std::string_view op, int64_t dim, int rank);

// The product of `shape`; throws when an entry is negative or the product (times 8 bytes) overflows.
int64_t checked_numel(std::string_view op, const Shape& shape);

}  // namespace sfumato
