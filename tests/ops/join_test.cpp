#include "tensor/ops/join.h"

#include <vector>

#include "autograd/gradcheck.h"
#include "autograd/variable.h"
#include "catch.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  return arange(0, static_cast<double>(shape.numel()), 1, dtype).reshape(shape);
}

void check_gradients(const DifferentiableFunction& f, const std::vector<Tensor>& inputs) {
  std::string why;
  const bool first = gradcheck(f, inputs, {}, &why);
  INFO(why);
  CHECK(first);
  const bool second = gradgradcheck(f, inputs, {}, &why);
  INFO(why);
  CHECK(second);
}

}  // namespace

TEST_CASE("cat: along every dimension, of views and of empties", "[tensor][join]") {
  const Tensor a = counting({2, 2});
  const Tensor b = transpose(counting({2, 2}), 0, 1);
  CHECK(cat({a, b}, 0).to_vector() == Values{0, 1, 2, 3, 0, 2, 1, 3});
  CHECK(cat({a, b}, 1).to_vector() == Values{0, 1, 0, 2, 2, 3, 1, 3});
  CHECK(cat({a, b}, -1).to_vector() == cat({a, b}, 1).to_vector());
  CHECK(cat({a, zeros({0, 2}), b}, 0).shape() == Shape{4, 2});
  CHECK(cat({zeros({0, 3})}, 0).shape() == Shape{0, 3});
  const std::vector<Tensor> list{a, a, a};
  CHECK(cat(list, 0).shape() == Shape{6, 2});
  CHECK_FALSE(cat({a}, 0).shares_storage_with(a));
  for (const DType dtype : kEveryDType) {
    const Tensor joined = cat({ones({1, 3}, dtype), zeros({1, 3}, dtype)}, 0);
    CHECK(joined.dtype() == dtype);
    CHECK(joined.to_vector() == Values{1, 1, 1, 0, 0, 0});
  }
}

TEST_CASE("cat: large tensors, any number of threads", "[tensor][join]") {
  const Tensor a = counting({3, 40, 33, 31});
  const Tensor b = counting({3, 7, 33, 31});
  const int threads = num_threads();
  for (const int n : {1, 3}) {
    set_num_threads(n);
    const Tensor joined = cat({a, b}, 1);
    CHECK(narrow(joined, 1, 0, 40).to_vector() == a.to_vector());
    CHECK(narrow(joined, 1, 40, 7).to_vector() == b.to_vector());
  }
  set_num_threads(threads);
}

TEST_CASE("stack: a new dimension anywhere", "[tensor][join]") {
  const Tensor a = counting({2});
  const Tensor b = full({2}, 9);
  CHECK(stack({a, b}, 0).to_vector() == Values{0, 1, 9, 9});
  CHECK(stack({a, b}, 1).to_vector() == Values{0, 9, 1, 9});
  CHECK(stack({a, b}, -1).shape() == Shape{2, 2});
  CHECK(stack({scalar(1), scalar(2), scalar(3)}, 0).to_vector() == Values{1, 2, 3});
}

TEST_CASE("pad: pairs from the last dimension on, negative amounts crop", "[tensor][join]") {
  const Tensor x = counting({2, 2});
  CHECK(pad(x, {1, 2}, -1).to_vector() == Values{-1, 0, 1, -1, -1, -1, 2, 3, -1, -1});
  CHECK(pad(x, {0, 1, 1, 0}).to_vector() == Values{0, 0, 0, 0, 1, 0, 2, 3, 0});
  CHECK(pad(x, {-1, 0}).to_vector() == Values{1, 3});
  CHECK(pad(x, {-1, 2}, 7).to_vector() == Values{1, 7, 7, 3, 7, 7});
  CHECK(pad(x, {2, -2, 0, 0}, 7).to_vector() == Values{7, 7, 7, 7});
  CHECK(pad(x, {-1, -1}).shape() == Shape{2, 0});
  CHECK(pad(x, {}).to_vector() == x.to_vector());
  CHECK(pad(zeros({0, 2}), {0, 0, 1, 2}, 3).to_vector() == Values{3, 3, 3, 3, 3, 3});
  CHECK(pad(transpose(x, 0, 1), {1, 0}, 5).to_vector() == Values{5, 0, 2, 5, 1, 3});
  for (const DType dtype : kEveryDType) {
    CHECK(pad(zeros({1}, dtype), {1, 1}, 1).to_vector() == Values{1, 0, 1});
  }
}

TEST_CASE("pad: every element of a four-dimensional result", "[tensor][join]") {
  const Tensor x = counting({2, 3, 4, 5});
  const Tensor y = pad(x, {1, -2, 2, 1, -1, 1, 1, 0}, -1);
  REQUIRE(y.shape() == Shape{3, 3, 7, 4});
  const Values in = x.to_vector();
  const Values out = y.to_vector();
  size_t at = 0;
  for (int n = -1; n < 2; ++n)
    for (int c = 1; c < 4; ++c)
      for (int h = -2; h < 5; ++h)
        for (int w = -1; w < 3; ++w, ++at) {
          const bool inside = n >= 0 && c < 3 && h >= 0 && h < 4 && w >= 0;
          CHECK(out[at] == (inside ? in[static_cast<size_t>(((n * 3 + c) * 4 + h) * 5 + w)] : -1));
        }
}

TEST_CASE("flip: one or several dimensions, of views too", "[tensor][join]") {
  const Tensor x = counting({2, 3});
  CHECK(flip(x, {0}).to_vector() == Values{3, 4, 5, 0, 1, 2});
  CHECK(flip(x, {1}).to_vector() == Values{2, 1, 0, 5, 4, 3});
  CHECK(flip(x, {0, -1}).to_vector() == Values{5, 4, 3, 2, 1, 0});
  CHECK(flip(transpose(x, 0, 1), {0}).to_vector() == Values{2, 5, 1, 4, 0, 3});
  CHECK(flip(x, {}).to_vector() == x.to_vector());
  CHECK(flip(scalar(4), {}).item() == 4);
  CHECK(flip(zeros({0, 2}), {0}).shape() == Shape{0, 2});
  const Tensor big = counting({7, 11, 13, 17});
  CHECK(flip(flip(big, {1, 3}), {3, 1}).to_vector() == big.to_vector());
  CHECK(select(select(flip(big, {1}), 1, 0), 0, 2).to_vector() == select(select(big, 1, 10), 0, 2).to_vector());
  for (const DType dtype : kEveryDType) {
    CHECK(flip(tensor_of({1, 0, 0}, {3}, dtype), {0}).to_vector() == Values{0, 0, 1});
  }
}

TEST_CASE("join: errors name the op, the rule and what was received", "[tensor][join]") {
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_WITH(cat(std::span<const Tensor>(), 0), ContainsSubstring("cat: the list is empty"));
  CHECK_THROWS_WITH(cat({x, zeros({2, 4})}, 0), ContainsSubstring("tensor 1 has (2, 4) but tensor 0 has (2, 3)"));
  CHECK_THROWS_WITH(cat({x, zeros({2})}, 0), ContainsSubstring("tensor 1 has shape (2,)"));
  CHECK(cat({x, zeros({2, 3}, DType::f64)}, 0).dtype() == DType::f64);
  CHECK_THROWS_WITH(cat({scalar(1), scalar(2)}, 0), ContainsSubstring("rank 0"));
  CHECK_THROWS_WITH(cat({x, x}, 2), ContainsSubstring("cat: dim 2"));
  CHECK_THROWS_WITH(stack({x, zeros({3, 2})}, 0), ContainsSubstring("stack: all shapes must be equal"));
  CHECK_THROWS_WITH(stack(std::span<const Tensor>(), 0), ContainsSubstring("stack: the list is empty"));
  CHECK_THROWS_WITH(pad(x, {1}), ContainsSubstring("pad: amounts are (before, after) pairs"));
  CHECK_THROWS_WITH(pad(x, {0, 0, 0, 0, 1, 1}), ContainsSubstring("pad"));
  CHECK_THROWS_WITH(pad(x, {-2, -2}), ContainsSubstring("crop more of dimension 1"));
  CHECK_THROWS_WITH(pad(x, {-4, 4}), ContainsSubstring("crop more"));
  CHECK_THROWS_WITH(flip(x, {0, -2}), ContainsSubstring("flip: dim 0 appears twice"));
}

TEST_CASE("join: gradients of first and second order", "[autograd][join]") {
  const Tensor a = linspace(-1, 1, 6, DType::f64).reshape({2, 3});
  const Tensor b = linspace(0.3, 2, 4, DType::f64).reshape({2, 2});
  using Span = std::span<const Variable>;
  check_gradients([](Span v) { return square(cat({v[0], v[1], v[0]}, 1)); }, {a, b});
  check_gradients([](Span v) { return square(cat({v[0], v[0] * v[0]}, -2)); }, {a});
  check_gradients([](Span v) { return square(stack({v[0], v[1]}, 1)); }, {a, a * 2.0});
  check_gradients([](Span v) { return square(stack(v, -1)); }, {a, a * 3.0});
  check_gradients([](Span v) { return square(pad(v[0], {1, 2, 0, 3}, 0.5)); }, {a});
  check_gradients([](Span v) { return square(pad(v[0], {-1, 2}, 0.5)); }, {a});
  check_gradients([](Span v) { return square(flip(v[0], {0, 1})); }, {a});
}
