// GradientTree: the sum of V gradients over a fixed balanced binary tree, in memory for log2(V) + 1 of them.
//
//   GradientTree tree(flat.size(), /*leaves=*/8);
//   for (int i = 0; i < 8; ++i) {                    // micro-batches in order
//     flat.begin_gradients(tree.next_buffer());
//     loss(i).backward();
//     flat.gradients();                              // zeroes what the pass did not reach
//     tree.push();
//   }
//   adam.step(tree.total(), lr);                     // ((0+1)+(2+3))+((4+5)+(6+7)), whatever happened in between
//
// Floating-point sums depend on their order, and here the order is a function of V alone: 2^k ranks that each sum a
// subtree of V / 2^k leaves, and then one another's totals pairwise, get the bits that one rank gets.
//
// It is a binary counter. Partial sums stand on a stack, each over 2^level leaves; a pushed gradient is level 0, and
// while the top two are of one level the right one is added to the left. Buffers are kept and used again.
//
// The last leaf ends the whole sum, element by element: what is known of its gradient early can be summed early
// (sum_range), while the rest is still being computed.
//
// With `bf16` every leaf and every sum is rounded to bfloat16, so that ranks can send each other half as many bytes
// ("nn/distributed/tree_exchange.h"). The result is another one, but again a function of V alone.
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace sfumato {

class GradientTree {
 public:
  // Flat f32 buffers of `size` elements; `leaves` must be a power of two.
  GradientTree(int64_t size, int64_t leaves, bool bf16 = false);

  // Where the next gradient goes; the same buffer until push(). It holds old values, but zeros where nothing was ever
  // written (the gaps of FlatParameters). After total(), the first call begins a new sum.
  Tensor& next_buffer();
  // Takes next_buffer() as the next leaf. Throws when `leaves` of them have been pushed already.
  void push();
  // For the last leaf: sums elements begin .. end - 1, whose gradients are in next_buffer(), and returns the buffer
  // whose elements begin .. end - 1 are now those of total(). Once for each element, or not at all; then push(). Two
  // threads may write and sum different elements.
  Tensor& sum_range(int64_t begin, int64_t end);
  // The whole sum; throws before the last push. Valid until the next next_buffer() or reset().
  Tensor& total();
  // Forgets an unfinished sum.
  void reset();

  int64_t leaves() const { return leaves_; }
  int64_t pushed() const { return pushed_; }
  // How many buffers have been made: at most log2(leaves) + 1.
  int64_t buffer_count() const { return buffer_count_; }

 private:
  void round(Tensor& sums) const;

  struct Partial {
    Tensor sum;
    int level;
  };
  int64_t size_, leaves_;
  bool bf16_;
  int64_t summed_ = 0;  // elements of the last leaf
  int64_t pushed_ = 0, buffer_count_ = 0;
  Tensor current_;
  std::vector<Partial> partials_;
  std::vector<Tensor> free_;
};

}  // namespace sfumato
