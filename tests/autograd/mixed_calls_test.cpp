// That calls which mix tensors, Variables and numbers compile, and which type comes out: most of this test is done when
// it has been compiled. Catches ambiguous overloads and a Variable that decays into a Tensor (and so off the tape).
#include <type_traits>
#include <vector>

#include "autograd/variable.h"
#include "catch.h"

using namespace sfumato;

namespace {

template <class Expected, class Actual>
Tensor value_of(const Actual& actual) {
  static_assert(std::is_same_v<Expected, Actual>);
  if constexpr (std::is_same_v<Actual, Variable>) {
    return actual.tensor();
  } else {
    return actual;
  }
}

static_assert(std::is_convertible_v<Tensor, Variable>);
static_assert(!std::is_convertible_v<Variable, Tensor>);

}  // namespace

TEST_CASE("mixed calls: lists of tensors, of Variables and of both", "[autograd][compile]") {
  const Tensor t = ones({1, 2});
  const Variable v(full({1, 2}, 2.0), true);
  CHECK(value_of<Tensor>(cat({t, t}, 1)).shape() == Shape{1, 4});
  CHECK(value_of<Tensor>(cat({t}, 1)).shape() == Shape{1, 2});
  CHECK(value_of<Variable>(cat({t, v}, 1)).to_vector() == std::vector<double>{1, 1, 2, 2});
  CHECK(value_of<Variable>(cat({v, t}, 1)).to_vector() == std::vector<double>{2, 2, 1, 1});
  CHECK(value_of<Variable>(cat({v, v, t}, 0)).shape() == Shape{3, 2});
  CHECK(value_of<Variable>(cat({v}, 0)).shape() == Shape{1, 2});
  CHECK(value_of<Tensor>(stack({t, t}, 0)).shape() == Shape{2, 1, 2});
  CHECK(value_of<Variable>(stack({t, v}, 0)).shape() == Shape{2, 1, 2});
  CHECK(value_of<Variable>(stack({v, v}, -1)).shape() == Shape{1, 2, 2});
  const std::vector<Tensor> tensors{t, t};
  const std::vector<Variable> variables{t, v};
  CHECK(value_of<Tensor>(cat(tensors, 0)).shape() == Shape{2, 2});
  CHECK(value_of<Variable>(cat(variables, 0)).shape() == Shape{2, 2});
  CHECK(value_of<Variable>(stack(variables, 0)).shape() == Shape{2, 1, 2});
  CHECK(value_of<Variable>(stack(std::span(variables).first(1), 0)).shape() == Shape{1, 1, 2});
}

TEST_CASE("mixed calls: binary ops and numbers", "[autograd][compile]") {
  const Tensor t = ones({2});
  const Variable v(full({2}, 3.0), true);
  CHECK(value_of<Tensor>(mul(t, t)).to_vector() == std::vector<double>{1, 1});
  CHECK(value_of<Variable>(mul(t, v)).to_vector() == std::vector<double>{3, 3});
  CHECK(value_of<Variable>(mul(v, t)).to_vector() == std::vector<double>{3, 3});
  CHECK(value_of<Variable>(t * v + v / t - t).to_vector() == std::vector<double>{5, 5});
  CHECK(value_of<Variable>(v * 2.0).to_vector() == std::vector<double>{6, 6});
  CHECK(value_of<Variable>(2.0 * v).to_vector() == std::vector<double>{6, 6});
  CHECK(value_of<Variable>(v * 2).to_vector() == std::vector<double>{6, 6});
  CHECK(value_of<Variable>(-v + 1).to_vector() == std::vector<double>{-2, -2});
  CHECK(value_of<Tensor>(2.0 * t).to_vector() == std::vector<double>{2, 2});
  CHECK(value_of<Tensor>(t * 2).to_vector() == std::vector<double>{2, 2});
}

TEST_CASE("mixed calls: shapes in braces, masks and indices", "[autograd][compile]") {
  const Tensor t = ones({2, 2});
  const Variable v(full({2, 2}, 3.0), true);
  const Tensor mask = tensor_of({1, 0}, {2}, DType::boolean);
  const Tensor index = tensor_of({1}, {1}, DType::i64);
  CHECK(value_of<Tensor>(reshape(t, {4})).shape() == Shape{4});
  CHECK(value_of<Variable>(reshape(v, {4})).shape() == Shape{4});
  CHECK(value_of<Variable>(reshape(v, {2, -1})).shape() == Shape{2, 2});
  CHECK(value_of<Variable>(permute(v, {1, 0})).shape() == Shape{2, 2});
  CHECK(value_of<Variable>(pad(v, {1, 1})).shape() == Shape{2, 4});
  CHECK(value_of<Variable>(flip(v, {0})).shape() == Shape{2, 2});
  CHECK(value_of<Tensor>(where(mask, t, t)).shape() == Shape{2, 2});
  CHECK(value_of<Variable>(where(mask, t, v)).to_vector() == std::vector<double>{1, 3, 1, 3});
  CHECK(value_of<Variable>(where(mask, v, t)).to_vector() == std::vector<double>{3, 1, 3, 1});
  CHECK(value_of<Tensor>(masked_fill(t, mask, 0)).to_vector() == std::vector<double>{0, 1, 0, 1});
  CHECK(value_of<Variable>(masked_fill(v, mask, 0)).to_vector() == std::vector<double>{0, 3, 0, 3});
  CHECK(value_of<Variable>(index_select(v, 0, index)).shape() == Shape{1, 2});
  CHECK(value_of<Tensor>(embedding(t, index)).shape() == Shape{1, 2});
  CHECK(value_of<Variable>(embedding(v, index)).shape() == Shape{1, 2});
  CHECK(value_of<Variable>(dropout(t, 0.0, RandomStream::of("dropout"))).shape() == Shape{2, 2});
}

TEST_CASE("mixed calls: gradients reach the Variables of a mixed list", "[autograd]") {
  const Tensor t = ones({2});
  const Variable a(full({2}, 3.0), true);
  const Variable b(full({1}, 4.0), true);
  const Variable joined = cat({a, t, b, a}, 0) * tensor_of({1, 2, 3, 4, 5, 6, 7}, {7});
  joined.backward(ones({7}));
  CHECK(a.grad().tensor().to_vector() == std::vector<double>{7, 9});
  CHECK(b.grad().tensor().to_vector() == std::vector<double>{5});
  CHECK_FALSE(cat({Variable(t), Variable(t)}, 0).requires_grad());
}
