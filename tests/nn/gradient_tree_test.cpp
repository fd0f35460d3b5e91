#include "nn/optim/gradient_tree.h"

#include <cstring>
#include <vector>

#include "catch.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

constexpr int64_t kSize = 1000;

// The definition: halves of the range, summed in f32.
std::vector<float> tree_sum(const std::vector<Tensor>& leaves, size_t begin, size_t end) {
  if (end - begin == 1) {
    const float* data = leaves[begin].data<float>();
    return {data, data + kSize};
  }
  const size_t middle = begin + (end - begin) / 2;
  std::vector<float> left = tree_sum(leaves, begin, middle);
  const std::vector<float> right = tree_sum(leaves, middle, end);
  for (size_t i = 0; i < left.size(); ++i) {
    left[i] += right[i];
  }
  return left;
}

std::vector<Tensor> random_leaves(int64_t count, int64_t step) {
  const RandomScope scope({.seed = 1, .step = step});
  std::vector<Tensor> leaves;
  for (int64_t i = 0; i < count; ++i) {
    leaves.push_back(randn({kSize}, RandomStream::of("leaf", std::to_string(i))));
  }
  return leaves;
}

void push_all(GradientTree& tree, const std::vector<Tensor>& leaves) {
  for (const Tensor& leaf : leaves) {
    tree.next_buffer().copy_from(leaf);
    tree.push();
  }
}

bool same_bits(const Tensor& got, const std::vector<float>& wanted) {
  return std::memcmp(got.data<float>(), wanted.data(), wanted.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("gradient tree: the sum is the balanced tree's, bit for bit", "[nn]") {
  for (const int64_t leaves : {1, 2, 4, 8, 16}) {
    INFO("leaves " << leaves);
    GradientTree tree(kSize, leaves);
    for (int64_t step = 0; step < 3; ++step) {  // later steps reuse buffers that hold old values
      const std::vector<Tensor> values = random_leaves(leaves, step);
      push_all(tree, values);
      CHECK(same_bits(tree.total(), tree_sum(values, 0, values.size())));
    }
    int64_t log2 = 0;
    while ((int64_t{1} << log2) < leaves) {
      ++log2;
    }
    CHECK(tree.buffer_count() == log2 + 1);
  }
}

TEST_CASE("gradient tree: the order matters in f32, so that the test above can fail", "[nn]") {
  const std::vector<Tensor> values = random_leaves(8, 0);
  std::vector<float> running(kSize, 0.0f);
  for (const Tensor& leaf : values) {
    for (size_t i = 0; i < running.size(); ++i) {
      running[i] += leaf.data<float>()[i];
    }
  }
  const std::vector<float> wanted = tree_sum(values, 0, 8);
  CHECK(std::memcmp(running.data(), wanted.data(), sizeof(float) * running.size()) != 0);
}

TEST_CASE("gradient tree: two halves on two ranks sum to the whole", "[nn]") {
  const std::vector<Tensor> values = random_leaves(8, 0);
  GradientTree left(kSize, 4), right(kSize, 4), top(kSize, 2);
  push_all(left, {values.begin(), values.begin() + 4});
  push_all(right, {values.begin() + 4, values.end()});
  push_all(top, {left.total(), right.total()});
  CHECK(same_bits(top.total(), tree_sum(values, 0, 8)));
}

TEST_CASE("gradient tree: misuse is an error, and a sum can be begun again", "[nn]") {
  CHECK_THROWS_AS(GradientTree(kSize, 3), Error);
  CHECK_THROWS_AS(GradientTree(kSize, 0), Error);
  GradientTree tree(kSize, 4);
  CHECK_THROWS_AS(tree.push(), Error);
  const std::vector<Tensor> values = random_leaves(4, 0);
  push_all(tree, {values.begin(), values.begin() + 3});
  CHECK_THROWS_AS(tree.total(), Error);
  tree.reset();
  push_all(tree, values);
  CHECK(same_bits(tree.total(), tree_sum(values, 0, 4)));
  CHECK(tree.buffer_count() == 3);
}
