#include "tensor/ops/index.h"

#include <cmath>
#include <vector>

#include "autograd/gradcheck.h"
#include "autograd/variable.h"
#include "catch.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  return arange(0, static_cast<double>(shape.numel()), 1, dtype).reshape(shape);
}
Tensor index_of(std::initializer_list<double> values, const Shape& shape, DType dtype = DType::i64) {
  return tensor_of(values, shape, dtype);
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

TEST_CASE("index_select and index_add: every dimension, repeated indices", "[tensor][index]") {
  const Tensor x = counting({2, 3});
  const Tensor index = index_of({2, 0, 2}, {3});
  CHECK(index_select(x, 1, index).to_vector() == Values{2, 0, 2, 5, 3, 5});
  CHECK(index_select(x, 0, index_of({1}, {1}, DType::i32)).to_vector() == Values{3, 4, 5});
  CHECK(index_select(transpose(x, 0, 1), -2, index).to_vector() == Values{2, 5, 0, 3, 2, 5});
  CHECK(index_select(x, 0, index_of({}, {0})).shape() == Shape{0, 3});
  CHECK(index_select(zeros({3, 0}), 0, index).shape() == Shape{3, 0});
  for (const DType dtype : {DType::f64, DType::bf16, DType::i64, DType::u8, DType::boolean}) {
    CHECK(index_select(tensor_of({0, 1}, {2}, dtype), 0, index_of({1, 0, 1}, {3})).to_vector() == Values{1, 0, 1});
  }
  CHECK(index_add(x, 1, index, 4).to_vector() == Values{1, 0, 2, 0, 4, 0, 8, 0});
  CHECK(index_add(x, 0, index_of({1, 1}, {2}), 2).to_vector() == Values{0, 0, 0, 3, 5, 7});
  CHECK(index_add(transpose(x, 0, 1), 0, index, 3).to_vector() == Values{1, 4, 0, 0, 2, 8});
  CHECK(index_add(zeros({0, 2}), 0, index_of({}, {0}), 3).to_vector() == Values(6, 0));
}

TEST_CASE("index_add: the adjoint of index_select, the same bits for any number of threads", "[tensor][index]") {
  const Tensor source = counting({4, 90, 50});
  Tensor index = Tensor::empty({90}, DType::i64);
  for (int64_t i = 0; i < 90; ++i) {
    index.mutable_data<int64_t>()[i] = i * i % 31;
  }
  const Tensor x = counting({4, 31, 50});
  const double left = sum(index_select(x.to(DType::f64), 1, index) * source.to(DType::f64)).item();
  const double right = sum(x.to(DType::f64) * index_add(source.to(DType::f64), 1, index, 31)).item();
  CHECK(left == Approx(right).epsilon(1e-12));
  const int threads = num_threads();
  set_num_threads(1);
  const Tensor alone = index_add(source * 0.1, 1, index, 31);
  const Tensor columns = index_add(reshape(source * 0.1, {90, 200}), 0, index, 31);
  set_num_threads(3);
  CHECK(index_add(source * 0.1, 1, index, 31).to_vector() == alone.to_vector());
  CHECK(index_add(reshape(source * 0.1, {90, 200}), 0, index, 31).to_vector() == columns.to_vector());
  set_num_threads(threads);
}

TEST_CASE("gather and scatter_add: against the formula, in every dimension", "[tensor][index]") {
  const Tensor x = counting({3, 4, 5}, DType::f64);
  for (const Tensor& table : {x, permute(counting({5, 3, 4}, DType::f64), {1, 2, 0})}) {
    const Values values = table.to_vector();
    for (int d = 0; d < 3; ++d) {
      Shape shape{2, 3, 4};
      shape[d] = 21;  // longer than the table along d, shorter elsewhere; more than one block of lines
      Tensor index = Tensor::empty(shape, DType::i64);
      for (int64_t i = 0; i < index.numel(); ++i) {
        index.mutable_data<int64_t>()[i] = i * 7 % table.size(d);
      }
      const Values at = index.to_vector();
      const Tensor got = gather(table, d, index);
      REQUIRE(got.shape() == shape);
      const Values picked = got.to_vector();
      const Tensor back = scatter_add(got, d, index.to(DType::i32), table.shape());
      Values expected(values.size(), 0);
      size_t i = 0;
      for (int64_t a = 0; a < shape[0]; ++a)
        for (int64_t b = 0; b < shape[1]; ++b)
          for (int64_t c = 0; c < shape[2]; ++c, ++i) {
            int64_t place[3] = {a, b, c};
            place[d] = static_cast<int64_t>(at[i]);
            const auto flat = static_cast<size_t>((place[0] * 4 + place[1]) * 5 + place[2]);
            CHECK(picked[i] == values[flat]);
            expected[flat] += picked[i];
          }
      CHECK(back.to_vector() == expected);
    }
  }
  CHECK(gather(counting({2, 3}), 1, index_of({}, {2, 0})).shape() == Shape{2, 0});
  CHECK(gather(zeros({2, 0}), 0, index_of({}, {2, 0})).shape() == Shape{2, 0});
  CHECK(scatter_add(zeros({0, 3}), 0, index_of({}, {0, 3}), {2, 3}).to_vector() == Values(6, 0));
  CHECK(gather(counting({1, 3}), 1, expand(index_of({2}, {1, 1}), {1, 2})).to_vector() == Values{2, 2});
  CHECK(gather(tensor_of({0, 1}, {2}, DType::u8), 0, index_of({1, 1, 0}, {3})).to_vector() == Values{1, 1, 0});
}

TEST_CASE("embedding and one_hot: an index of any shape", "[tensor][index]") {
  const Tensor weight = counting({3, 2});
  CHECK(embedding(weight, index_of({2, 0}, {2})).to_vector() == Values{4, 5, 0, 1});
  CHECK(embedding(weight, index_of({2, 0, 1, 1}, {2, 2})).shape() == Shape{2, 2, 2});
  CHECK(embedding(weight, scalar(1, DType::i64)).to_vector() == Values{2, 3});
  CHECK(embedding(weight, transpose(index_of({2, 0, 1, 1}, {2, 2}), 0, 1)).to_vector() ==
        Values{4, 5, 2, 3, 0, 1, 2, 3});
  CHECK(embedding(weight, index_of({}, {0})).shape() == Shape{0, 2});
  CHECK(one_hot(index_of({1, 0}, {2}), 3).to_vector() == Values{0, 1, 0, 1, 0, 0});
  CHECK(one_hot(index_of({1}, {1, 1}), 2, DType::boolean).shape() == Shape{1, 1, 2});
  CHECK(one_hot(scalar(0, DType::i32), 2, DType::f64).to_vector() == Values{1, 0});
}

TEST_CASE("index: every index is checked, with its value in the message", "[tensor][index]") {
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_WITH(index_select(x, 1, index_of({0, 3}, {2})), ContainsSubstring("index 3 is out of range for size 3"));
  CHECK_THROWS_WITH(index_select(x, 1, index_of({-1}, {1})), ContainsSubstring("index_select: index -1"));
  CHECK_THROWS_WITH(index_select(x, 1, zeros({1})), ContainsSubstring("an index must be i64 or i32, got f32"));
  CHECK_THROWS_WITH(index_select(x, 1, index_of({0}, {1, 1})), ContainsSubstring("must have rank 1"));
  CHECK_THROWS_WITH(index_select(x, 2, index_of({0}, {1})), ContainsSubstring("index_select: dim 2"));
  CHECK_THROWS_WITH(index_select(scalar(1), 0, index_of({0}, {1})), ContainsSubstring("rank 0"));
  CHECK_THROWS_WITH(index_add(x, 1, index_of({0}, {1}), 3), ContainsSubstring("one entry per slice"));
  CHECK_THROWS_WITH(index_add(x, 0, index_of({0, 5}, {2}), 3), ContainsSubstring("index_add: index 5"));
  CHECK_THROWS_WITH(gather(x, 1, index_of({0}, {1})), ContainsSubstring("must have the rank of (2, 3)"));
  CHECK_THROWS_WITH(gather(x, 1, index_of({0, 0, 0}, {3, 1})), ContainsSubstring("larger than (2, 3) in dimension 0"));
  CHECK_THROWS_WITH(gather(x, 1, index_of({7}, {1, 1})), ContainsSubstring("gather: index 7"));
  CHECK_THROWS_WITH(scatter_add(zeros({1, 2}), 1, index_of({0}, {1, 1}), {1, 2}), ContainsSubstring("one shape"));
  CHECK_THROWS_WITH(scatter_add(zeros({1, 1}), 1, index_of({2}, {1, 1}), {1, 2}), ContainsSubstring("index 2"));
  CHECK_THROWS_WITH(embedding(zeros({3}), index_of({0}, {1})), ContainsSubstring("embedding: the weight must be"));
  CHECK_THROWS_WITH(embedding(x, index_of({2}, {1})), ContainsSubstring("embedding: index 2"));
  CHECK_THROWS_WITH(one_hot(index_of({3}, {1}), 3), ContainsSubstring("one_hot: index 3"));
}

TEST_CASE("index: gradients of first and second order", "[autograd][index]") {
  const Tensor x = linspace(-1, 1, 12, DType::f64).reshape({3, 4});
  const Tensor rows = index_of({2, 0, 2}, {3});
  const Tensor places = index_of({0, 2, 2, 1, 3, 0}, {3, 2});
  const Tensor mask = tensor_of({1, 0, 0, 1}, {4}, DType::boolean);
  using Span = std::span<const Variable>;
  check_gradients([&](Span v) { return square(index_select(v[0], 0, rows)); }, {x});
  check_gradients([&](Span v) { return square(index_add(v[0], 0, rows, 4)); }, {x});
  check_gradients([&](Span v) { return square(gather(v[0], 1, places)); }, {x});
  check_gradients([&](Span v) { return square(scatter_add(slice(v[0], 1, 0, 2), 1, places, {3, 5})); }, {x});
  check_gradients([&](Span v) { return square(embedding(v[0], rows)); }, {x});
  const Tensor column = linspace(1, 2, 3, DType::f64).reshape({3, 1});
  check_gradients([&](Span v) { return square(where(mask, v[0], v[1])); }, {x, column});
  check_gradients([&](Span v) { return square(masked_fill(v[0], mask, -2)); }, {x});
  check_gradients([&](Span v) { return square(cumsum(v[0], 1)); }, {x});
  check_gradients([&](Span v) { return square(cumsum(v[0], 0, true)); }, {x});
}

TEST_CASE("where: a NaN that is not chosen does not reach the gradient", "[autograd][index]") {
  // Catches a rule that multiplies by the mask: 0 * NaN is NaN.
  const Variable w(tensor_of({1, 1}, {2}), true);
  where(tensor_of({1, 0}, {2}, DType::boolean), w, Variable(zeros({2}))).backward(tensor_of({3, std::nan("")}, {2}));
  CHECK(w.grad().tensor().to_vector() == Values{3, 0});
}

TEST_CASE("index: an index changed after the forward pass is noticed by the backward pass", "[autograd][index]") {
  Tensor index = index_of({0, 1}, {2});
  const Variable x(counting({3}), true);
  const Variable y = sum(index_select(x, 0, index));
  index.fill(2);
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("modified in place"));
}
