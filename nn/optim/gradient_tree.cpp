#include "nn/optim/gradient_tree.h"

#include <bit>
#include <utility>

#include "tensor/ops/optim.h"

namespace sfumato {

GradientTree::GradientTree(int64_t size, int64_t leaves) : size_(size), leaves_(leaves) {
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

void GradientTree::push() {
  check(current_.defined(), "GradientTree: push() needs a gradient in next_buffer() (", pushed_, " of ", leaves_,
        " pushed)");
  partials_.push_back({std::exchange(current_, {}), 0});
  ++pushed_;
  while (partials_.size() >= 2 && partials_.back().level == partials_[partials_.size() - 2].level) {
    Partial right = std::move(partials_.back());
    partials_.pop_back();
    add_(partials_.back().sum, right.sum);
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
}

}  // namespace sfumato
