#include "autograd/variable.h"

#include "catch.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

}  // namespace

TEST_CASE("variable: the example of the header", "[autograd]") {
  Variable x(full({3}, 2.0), /*requires_grad=*/true);
  Variable y = sum(mul(x, x));
  y.backward();
  CHECK(x.grad().tensor().to_vector() == Values{4, 4, 4});
}

TEST_CASE("variable: undefined, constant, leaf and result", "[autograd]") {
  const Variable none;
  CHECK_FALSE(none.defined());
  CHECK_FALSE(none.requires_grad());
  CHECK_FALSE(none.tensor().defined());
  CHECK_FALSE(none.grad().defined());
  CHECK_FALSE(Variable(Tensor()).defined());
  const Variable constant(ones({2}));
  CHECK(constant.is_leaf());
  CHECK_FALSE(constant.requires_grad());
  const Variable leaf(ones({2}), true);
  CHECK(leaf.is_leaf());
  CHECK(leaf.requires_grad());
  const Variable result = leaf * constant;
  CHECK_FALSE(result.is_leaf());
  CHECK(result.requires_grad());
  CHECK((constant * constant).is_leaf());
}

TEST_CASE("variable: only floating tensors have gradients", "[autograd]") {
  CHECK_THROWS_WITH(Variable(zeros({2}, DType::i64), true), ContainsSubstring("i64"));
  CHECK_THROWS_AS(Variable(zeros({2}, DType::u8), true), Error);
  CHECK_THROWS_AS(Variable(Tensor(), true), Error);
  CHECK(Variable(zeros({2}, DType::i64)).defined());
}

TEST_CASE("variable: copies are handles to one leaf", "[autograd]") {
  Variable a(ones({2}), true);
  Variable b = a;
  sum(b * 3.0).backward();
  CHECK(a.grad().tensor().to_vector() == Values{3, 3});
  b.zero_grad();
  CHECK_FALSE(a.grad().defined());
}

TEST_CASE("variable: detach is the same memory off the tape", "[autograd]") {
  const Variable x(full({2}, 3), true);
  const Variable y = x * 2.0;
  const Variable cut = y.detach();
  CHECK(cut.tensor().shares_storage_with(y.tensor()));
  CHECK_FALSE(cut.requires_grad());
  sum(cut * x).backward();
  CHECK(x.grad().tensor().to_vector() == Values{6, 6});
}

TEST_CASE("variable: set_grad, set_tensor and grad buffers are for leaves and check what they get", "[autograd]") {
  Variable leaf(ones({2}), true);
  Variable result = leaf * 2.0;
  leaf.set_grad(Variable(full({2}, 5)));
  CHECK(leaf.grad().tensor().to_vector() == Values{5, 5});
  CHECK_THROWS_WITH(leaf.set_grad(Variable(zeros({3}))), ContainsSubstring("(3,)"));
  CHECK_THROWS_AS(result.set_grad(Variable(zeros({2}))), Error);
  CHECK_THROWS_AS(result.set_tensor(zeros({2})), Error);
  CHECK_THROWS_WITH(leaf.set_tensor(zeros({2}, DType::f64)), ContainsSubstring("f64"));
  CHECK_THROWS_AS(result.set_grad_buffer(zeros({2})), Error);
  CHECK_THROWS_AS(leaf.set_grad_buffer(zeros({3})), Error);
  CHECK_THROWS_AS(leaf.set_grad_buffer(zeros({2}, DType::f64)), Error);
  leaf.set_tensor(full({2}, 7));
  CHECK(leaf.tensor().to_vector() == Values{7, 7});
}

TEST_CASE("variable: hooks and backward need a gradient to speak of", "[autograd]") {
  Variable constant(ones({2}));
  CHECK_THROWS_WITH(constant.backward(), ContainsSubstring("does not require a gradient"));
  CHECK_THROWS_AS(constant.register_hook([](const Variable& g) { return g; }), Error);
  Variable leaf(ones({2}), true);
  Variable result = leaf * 2.0;
  CHECK_THROWS_AS(result.register_post_accumulate_hook([](Variable&) {}), Error);
  CHECK_THROWS_WITH(result.backward(), ContainsSubstring("needs a gradient"));
  CHECK_THROWS_WITH(result.backward(Variable(ones({3}))), ContainsSubstring("(3,)"));
  CHECK_THROWS_AS(result.backward(Variable(ones({2}, DType::f64))), Error);
}

TEST_CASE("variable: under NoGradGuard nothing is recorded, and the guard nests", "[autograd]") {
  const Variable x(ones({2}), true);
  CHECK(grad_enabled());
  {
    NoGradGuard off;
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE((x * 2.0).requires_grad());
    {
      GradModeGuard on(true);
      CHECK((x * 2.0).requires_grad());
    }
    CHECK_FALSE(grad_enabled());
  }
  CHECK(grad_enabled());
  try {
    NoGradGuard off;
    throw 1;
  } catch (int) {
  }
  CHECK(grad_enabled());
}
