// The broadcasting iterator: walks several tensors of one broadcast shape as few, long runs.
//
//   ElementwiseIterator it(out.shape(), {&out, &a, &b});      // inputs broadcast to the output's shape
//   it.for_each_run(grain, [&](const Run& run) {              // in parallel; offsets and strides in elements
//     for (int64_t i = 0; i < run.count; ++i) out[run.offset[0] + i * run.stride[0]] = ...;
//   });
//
// Dimensions of size 1 are dropped and neighbours that every operand walks with one stride are merged, so the common
// case (all contiguous) is a single run; where all operands have the output's shape too, that is seen at once. Cuts
// between threads may fall anywhere inside a run.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>

#include "tensor/parallel.h"
#include "tensor/tensor.h"

namespace sfumato {

class ElementwiseIterator {
 public:
  static constexpr int kMaxOperands = 4;

  struct Run {
    std::array<int64_t, kMaxOperands> offset;  // of the run's first element, relative to the operand's data()
    std::array<int64_t, kMaxOperands> stride;
    int64_t count;
  };

  // Every operand must broadcast to `shape` (the caller has checked); the first is normally the output.
  ElementwiseIterator(const Shape& shape, std::initializer_list<const Tensor*> operands)
      : operands_(static_cast<int>(operands.size())), numel_(shape.numel()) {
    if (std::all_of(operands.begin(), operands.end(),
                    [&](const Tensor* tensor) { return tensor->is_contiguous() && tensor->shape() == shape; })) {
      add_dimension(numel_, {1, 1, 1, 1});
      return;
    }
    // Innermost dimension first from here on.
    for (int d = shape.rank() - 1; d >= 0; --d) {
      if (shape[d] == 1) {
        continue;
      }
      OperandStrides stride{};
      int k = 0;
      for (const Tensor* tensor : operands) {
        const int own = d - (shape.rank() - tensor->dim());
        stride[k++] = own < 0 || tensor->shape()[own] == 1 ? 0 : tensor->strides()[own];
      }
      if (rank_ > 0 && continues(stride)) {
        sizes_[rank_ - 1] *= shape[d];
      } else {
        add_dimension(shape[d], stride);
      }
    }
    if (rank_ == 0) {
      add_dimension(1, {});
    }
  }

  int64_t numel() const { return numel_; }

  template <class F>
  void for_each_run(int64_t grain, F&& f) const {
    parallel_for(numel_, grain, [&](int64_t begin, int64_t end) { walk(begin, end, f); });
  }

 private:
  using OperandStrides = std::array<int64_t, kMaxOperands>;

  void add_dimension(int64_t size, const OperandStrides& stride) {
    sizes_[rank_] = size;
    strides_[rank_++] = stride;
  }

  // The next outer dimension continues the last one when, for every operand, its stride is a whole inner sweep.
  bool continues(const OperandStrides& stride) const {
    for (int k = 0; k < operands_; ++k) {
      if (stride[k] != strides_[rank_ - 1][k] * sizes_[rank_ - 1]) {
        return false;
      }
    }
    return true;
  }

  template <class F>
  void walk(int64_t begin, int64_t end, F& f) const {
    if (rank_ == 1) {
      Run run{.offset = strides_[0], .stride = strides_[0], .count = end - begin};
      for (int64_t& offset : run.offset) {
        offset *= begin;
      }
      f(static_cast<const Run&>(run));
      return;
    }
    std::array<int64_t, kMaxRank> index{};
    Run run{};
    run.stride = strides_[0];
    int64_t rest = begin;
    for (int d = 0; d < rank_; ++d) {
      index[d] = rest % sizes_[d];
      rest /= sizes_[d];
      for (int k = 0; k < operands_; ++k) {
        run.offset[k] += index[d] * strides_[d][k];
      }
    }
    for (int64_t done = begin; done < end;) {
      run.count = std::min(sizes_[0] - index[0], end - done);
      f(static_cast<const Run&>(run));
      done += run.count;
      for (int k = 0; k < operands_; ++k) {
        run.offset[k] -= index[0] * strides_[0][k];
      }
      index[0] = 0;
      for (int d = 1; d < rank_; ++d) {
        for (int k = 0; k < operands_; ++k) {
          run.offset[k] += strides_[d][k];
        }
        if (++index[d] < sizes_[d]) {
          break;
        }
        for (int k = 0; k < operands_; ++k) {
          run.offset[k] -= sizes_[d] * strides_[d][k];
        }
        index[d] = 0;
      }
    }
  }

  int operands_;
  int rank_ = 0;
  int64_t numel_;
  std::array<int64_t, kMaxRank> sizes_;  // as strides_, filled up to rank_
  std::array<OperandStrides, kMaxRank> strides_;
};

}  // namespace sfumato
