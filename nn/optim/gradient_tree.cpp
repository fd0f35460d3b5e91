#include "nn/optim/gradient_tree.h"

#include <bit>
#include <utility>

#include "tensor/ops/optim.h"
#include "tensor/ops/view.h"

namespace sfumato {

GradientTree::GradientTree(int64_t size, int64_t leaves, bool bf16) : size_(size), leaves_(leaves), bf16_(bf16) {
  check(leaves > 0 && std::has_single_bit(static_cast<uint64_t>(leaves)),
        "GradientTree: the number of micro-batches must be a power of two, got ", leaves);
}

Tensor& GradientTree::next_buffer() {
  if (pushed_ == leaves_) {
    reset();
  }
  if (!current_.defined()) {
    if (free_.empty()) {
      free_.push_back(zeros({size_}));
      ++buffer_count_;
    }
    current_ = std::move(free_.back());
    free_.pop_back();
  }
  return current_;
}

void GradientTree::round(Tensor& sums) const {
  if (bf16_) {
    sums.copy_from(sums.to(DType::bf16));
  }
}

Tensor& GradientTree::sum_range(int64_t begin, int64_t end) {
  check(pushed_ == leaves_ - 1 && current_.defined(), "GradientTree: sum_range() is for the last leaf, this is number ",
        pushed_ + 1, " of ", leaves_);
  // With all leaves but one on the stack it holds a sum of every level: each is the left neighbour of what has come so
  // far.
  Tensor right = narrow(current_, 0, begin, end - begin);
  round(right);
  for (auto partial = partials_.rbegin(); partial != partials_.rend(); ++partial) {
    Tensor left = narrow(partial->sum, 0, begin, end - begin);
    add_(left, right);
    round(left);
    right = left;
  }
  summed_ += end - begin;
  return partials_.empty() ? current_ : partials_.front().sum;
}

void GradientTree::push() {
  check(current_.defined(), "GradientTree: push() needs a gradient in next_buffer() (", pushed_, " of ", leaves_,
        " pushed)");
  check(summed_ == 0 || summed_ == size_, "GradientTree: sum_range() has summed ", summed_, " of ", size_,
        " elements of the last leaf");
  const bool summed = std::exchange(summed_, 0) > 0;
  partials_.push_back({std::exchange(current_, {}), 0});
  ++pushed_;
  if (!summed) {
    round(partials_.back().sum);
  }
  while (partials_.size() >= 2 && partials_.back().level == partials_[partials_.size() - 2].level) {
    Partial right = std::move(partials_.back());
    partials_.pop_back();
    if (!summed) {
      add_(partials_.back().sum, right.sum);
      round(partials_.back().sum);
    }
    ++partials_.back().level;
    free_.push_back(std::move(right.sum));
  }
}

Tensor& GradientTree::total() {
  check(pushed_ == leaves_, "GradientTree: total() needs ", leaves_, " gradients, got ", pushed_);
  return partials_.front().sum;
}

void GradientTree::reset() {
  for (Partial& partial : partials_) {
    free_.push_back(std::move(partial.sum));
  }
  partials_.clear();
  pushed_ = 0;
  summed_ = 0;
}

}  // namespace sfumato
