#include "autograd/ops/loss.h"

#include <cmath>

#include "catch.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

Variable leaf(std::initializer_list<double> values, const Shape& shape) {
  return Variable(tensor_of(values, shape, DType::f64), true);
}

}  // namespace

TEST_CASE("loss: mean squared error and its reductions", "[autograd][loss]") {
  const Variable input = leaf({1, 2, 4}, {3});
  const Tensor target = tensor_of({0, 2, 1}, {3}, DType::f64);
  CHECK(mse_loss(input, target, Reduction::none).tensor().to_vector() == Values{1, 0, 9});
  CHECK(mse_loss(input, target, Reduction::sum).item() == 10);
  const Variable loss = mse_loss(input, target);
  CHECK(loss.item() == Approx(10.0 / 3));
  loss.backward();
  CHECK(input.grad().tensor().to_vector()[2] == Approx(2.0));
  CHECK(input.grad().tensor().to_vector()[1] == 0);
}

TEST_CASE("loss: smooth L1 is quadratic inside beta, linear outside, and continuous", "[autograd][loss]") {
  const Variable input = leaf({0.2, -0.2, 3, -3, 0.5}, {5});
  const Tensor target = zeros({5}, DType::f64);
  const auto values = smooth_l1_loss(input, target, 0.5, Reduction::none).tensor().to_vector();
  CHECK(values[0] == Approx(0.04));
  CHECK(values[1] == Approx(0.04));
  CHECK(values[2] == Approx(2.75));
  CHECK(values[3] == Approx(2.75));
  CHECK(values[4] == Approx(0.25));
  smooth_l1_loss(input, target, 0.5, Reduction::sum).backward();
  const auto gradient = input.grad().tensor().to_vector();
  CHECK(gradient[0] == Approx(0.4));
  CHECK(gradient[3] == -1);
  CHECK(gradient[4] == Approx(1));
  CHECK_THROWS_WITH(smooth_l1_loss(input, target, -1.0), ContainsSubstring("beta must not be negative"));
}

TEST_CASE("loss: cross entropy is minus the log of the target's probability", "[autograd][loss]") {
  const Variable input = leaf({1, 2, 3, 0, 0, 0}, {2, 3});
  const Tensor target = tensor_of({2, 0}, {2}, DType::i64);
  const double first = std::log(std::exp(1) + std::exp(2) + std::exp(3)) - 3;
  const auto values = cross_entropy(input, target, Reduction::none).tensor().to_vector();
  CHECK(values[0] == Approx(first));
  CHECK(values[1] == Approx(std::log(3.0)));
  const Variable loss = cross_entropy(input, target);
  CHECK(loss.item() == Approx((first + std::log(3.0)) / 2));
  loss.backward();
  const auto gradient = input.grad().tensor().to_vector();  // (softmax - one_hot) / N
  CHECK(gradient[3] == Approx((1.0 / 3 - 1) / 2));
  CHECK(gradient[4] == Approx(1.0 / 6));
  CHECK(gradient[0] + gradient[1] + gradient[2] == Approx(0).margin(1e-15));
}

TEST_CASE("loss: cross entropy takes maps of classes, large logits, and refuses what does not fit",
          "[autograd][loss]") {
  const Variable map = Variable(zeros({2, 4, 3, 5}, DType::f64));
  CHECK(cross_entropy(map, zeros({2, 3, 5}, DType::i64), Reduction::none).shape() == Shape{2, 3, 5});
  CHECK(cross_entropy(map, zeros({2, 3, 5}, DType::i64)).item() == Approx(std::log(4.0)));
  const Variable large = leaf({1e4, -1e4}, {1, 2});
  CHECK(cross_entropy(large, zeros({1}, DType::i64)).item() == 0);
  CHECK(cross_entropy(large, ones({1}, DType::i64)).item() == Approx(2e4));
  CHECK_THROWS_WITH(cross_entropy(large, zeros({1, 2}, DType::i64)), ContainsSubstring("cross_entropy"));
  CHECK_THROWS_AS(cross_entropy(large, full({1}, 2, DType::i64)), Error);  // there are classes 0 and 1
}

TEST_CASE("loss: a target of another shape that does not broadcast is refused", "[autograd][loss]") {
  CHECK_THROWS_AS(mse_loss(leaf({1, 2, 3}, {3}), zeros({2}, DType::f64)), Error);
}
