// Products with Jacobians and Hessians against closed forms and against one another.
#include "autograd/functional.h"

#include "catch.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/matmul.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

using Inputs = std::span<const Variable>;

Tensor random(const Shape& shape, int64_t which) {
  RandomScope scope({.seed = 5, .step = which});
  return randn({1, shape.numel()}, "functional", DType::f64).reshape(shape);
}

// y_ij = sin(x_i) w_j: every entry of both Jacobians is known.
Variable outer_sine(Inputs in) { return unsqueeze(sin(in[0]), 1) * unsqueeze(in[1], 0); }

bool close(const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && allclose(a, b, 1e-12, 1e-12); }

}  // namespace

TEST_CASE("jacobian: of an outer product, for both inputs", "[autograd][functional]") {
  const Tensor x = random({3}, 1), w = random({2}, 2);
  const auto J = jacobian(outer_sine, {{x, w}});
  REQUIRE(J[0].shape() == Shape{3, 2, 3});
  REQUIRE(J[1].shape() == Shape{3, 2, 2});
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const Tensor dx = select(select(J[0], 0, i), 0, j), dw = select(select(J[1], 0, i), 0, j);
      Tensor wanted_dx = zeros({3}, DType::f64), wanted_dw = zeros({2}, DType::f64);
      wanted_dx.mutable_data<double>()[i] = std::cos(x.data<double>()[i]) * w.data<double>()[j];
      wanted_dw.mutable_data<double>()[j] = std::sin(x.data<double>()[i]);
      CHECK(close(dx.contiguous(), wanted_dx));
      CHECK(close(dw.contiguous(), wanted_dw));
    }
  }
}

TEST_CASE("jvp and vjp: products with the Jacobian from either side", "[autograd][functional]") {
  const Tensor x = random({3}, 1), w = random({2}, 2), dx = random({3}, 3), dw = random({2}, 4), v = random({3, 2}, 5);
  const auto J = jacobian(outer_sine, {{x, w}});
  const JvpResult forward = jvp(outer_sine, {{x, w}}, {{dx, dw}});
  const VjpResult reverse = vjp(outer_sine, {{x, w}}, v);
  CHECK(close(forward.value, reverse.value));
  CHECK(close(forward.product, matmul(J[0], dx) + matmul(J[1], dw)));
  CHECK(close(reverse.products[0], matmul(v.reshape({6}), J[0].reshape({6, 3}))));
  // <v, J d> = <v^T J, d>
  const double left = sum(v * forward.product).item();
  CHECK(left == Approx(sum(reverse.products[0] * dx).item() + sum(reverse.products[1] * dw).item()));
}

TEST_CASE("hessian and hvp: of a quadratic form, and of a function of higher degree", "[autograd][functional]") {
  const Tensor A = random({4, 4}, 1), x = random({4}, 2), v = random({4}, 3);
  const auto quadratic = [&](const Variable& at) { return sum(at * matmul(A, at)) * 0.5; };
  const Tensor symmetric = (A + transpose(A, 0, 1)) * 0.5;
  CHECK(close(hessian(quadratic, x), symmetric));
  CHECK(close(hvp(quadratic, x, v), matmul(symmetric, v)));
  const auto curved = [](const Variable& at) { return sum(exp(at) * sin(at)) + square(sum(at)); };
  CHECK(close(hvp(curved, x, v), matmul(hessian(curved, x), v)));
}

TEST_CASE("functional: what does not depend on an input has zeros, and errors name the rule",
          "[autograd][functional]") {
  const Tensor x = random({3}, 1), w = random({2}, 2);
  const auto first_only = [](Inputs in) { return in[0] * 2.0; };
  CHECK(close(jacobian(first_only, {{x, w}})[1], zeros({3, 2}, DType::f64)));
  const auto constant = [](Inputs) { return Variable(ones({2}, DType::f64)); };
  CHECK(close(jvp(constant, {{x}}, {{x}}).product, zeros({2}, DType::f64)));
  CHECK(close(hessian([](const Variable& at) { return sum(at); }, x), zeros({3, 3}, DType::f64)));
  CHECK_THROWS_WITH(jvp(first_only, {{x, w}}, {{x}}), ContainsSubstring("2 inputs but 1 tangents"));
  CHECK_THROWS_WITH(vjp(first_only, {{x, w}}, w), ContainsSubstring("v must have shape (3,), got (2,)"));
  CHECK_THROWS_WITH(hessian([](const Variable& at) { return at * at; }, x),
                    ContainsSubstring("hessian: the function must return one element"));
}
