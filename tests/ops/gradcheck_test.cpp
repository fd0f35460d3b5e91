// One row per differentiable op: its first and second derivatives against central differences, in f64 with step 1e-6,
// within 1e-8 + 1e-6 |numeric|. Inputs keep away from kinks. A new op gets a row here.
#include "autograd/gradcheck.h"

#include <functional>
#include <string>
#include <vector>

#include "catch.h"
#include "tensor/backend/backend.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

using Inputs = std::span<const Variable>;

struct Row {
  std::string name;
  DifferentiableFunction f;
  std::vector<Tensor> inputs;
};

// Random values in [low, high), f64, the same in every run; `which` tells inputs of one shape apart.
Tensor in(const Shape& shape, double low, double high, int64_t which = 0) {
  RandomScope scope({.seed = 11, .step = which});
  return affine(rand({1, shape.numel()}, "gradcheck", DType::f64), high - low, low).reshape(shape);
}
Tensor normal(const Shape& shape, int64_t which = 0) { return in(shape, -1.5, 1.5, which); }

// Away from 0 by a tenth at least, of both signs: for functions with a kink there.
Tensor off_zero(const Shape& shape, int64_t which = 0) {
  Tensor x = in(shape, 0.1, 1.5, which);
  double* values = x.mutable_data<double>();
  for (int64_t i = 0; i < x.numel(); i += 2) values[i] = -values[i];
  return x;
}

Tensor indices(std::initializer_list<double> values, const Shape& shape) {
  return tensor_of(values, shape, DType::i64);
}

template <Variable (*F)(const Variable&)>
DifferentiableFunction one() {
  return [](Inputs x) { return F(x[0]); };
}
template <Variable (*F)(const Variable&, const Variable&)>
DifferentiableFunction two() {
  return [](Inputs x) { return F(x[0], x[1]); };
}

std::vector<Row> elementwise_rows() {
  const Tensor x = normal({2, 3}), positive = in({2, 3}, 0.3, 2), kinked = off_zero({2, 3});
  std::vector<Row> rows{
      {"abs", one<abs>(), {kinked}},
      {"neg", one<neg>(), {x}},
      {"exp", one<exp>(), {x}},
      {"expm1", one<expm1>(), {x}},
      {"log", one<log>(), {positive}},
      {"log1p", one<log1p>(), {positive}},
      {"sqrt", one<sqrt>(), {positive}},
      {"rsqrt", one<rsqrt>(), {positive}},
      {"square", one<square>(), {x}},
      {"reciprocal", one<reciprocal>(), {off_zero({2, 3})}},
      {"sin", one<sin>(), {x}},
      {"cos", one<cos>(), {x}},
      {"tanh", one<tanh>(), {x}},
      {"erf", one<erf>(), {x}},
      {"sigmoid", one<sigmoid>(), {x}},
      {"softplus", one<softplus>(), {x}},
      {"relu", one<relu>(), {kinked}},
      {"silu", one<silu>(), {x}},
      {"gelu", [](Inputs v) { return gelu(v[0]); }, {x}},
      {"gelu tanh", [](Inputs v) { return gelu(v[0], GeluApproximation::tanh); }, {x}},
      {"leaky_relu", [](Inputs v) { return leaky_relu(v[0], 0.2); }, {kinked}},
      {"clamp",
       [](Inputs v) { return clamp(v[0], -0.55, 0.55); },
       {tensor_of({-1, -0.3, 0.1, 0.4, 0.8, 2}, {6}, DType::f64)}},
      {"pow 2", [](Inputs v) { return pow(v[0], 2); }, {x}},
      {"pow 2.5", [](Inputs v) { return pow(v[0], 2.5); }, {positive}},
      {"pow -1", [](Inputs v) { return pow(v[0], -1); }, {off_zero({4})}},
      {"pow 0", [](Inputs v) { return pow(v[0], 0) + v[0]; }, {x}},
      {"affine", [](Inputs v) { return affine(v[0], -1.5, 0.25); }, {x}},
      {"scalars", [](Inputs v) { return (v[0] + 1.0) * 2.0 / 3.0 - 0.5; }, {x}},
      {"sign, floor, ceil and round are flat",
       [](Inputs v) { return v[0] + sign(v[0]) + floor(v[0]) + ceil(v[0]) + round(v[0]); },
       {tensor_of({-1.3, 0.3, 0.8, 2.2}, {4}, DType::f64)}},
  };
  const Tensor a = normal({2, 3}, 1), b = off_zero({3}, 2), column = off_zero({2, 1}, 3), point = off_zero({}, 4);
  const std::vector<std::pair<std::string, DifferentiableFunction>> binary{
      {"add", two<add>()}, {"sub", two<sub>()}, {"mul", two<mul>()}, {"div", two<div>()}};
  for (const auto& [name, f] : binary) {
    rows.push_back({name, f, {a, off_zero({2, 3}, 5)}});
    rows.push_back({name + " row", f, {a, b}});
    rows.push_back({name + " outer", f, {b, column}});
    rows.push_back({name + " point", f, {point, a + 2.5}});
    rows.push_back({name + " itself", [f = f](Inputs x) { return f(std::vector{x[0], x[0]}); }, {b}});
  }
  const Tensor low = in({2, 3}, -1, -0.1), high = in({2, 3}, 0.1, 1), mixed = off_zero({3}, 9);
  rows.push_back({"maximum", two<maximum>(), {kinked, kinked * -0.5}});
  rows.push_back({"minimum", two<minimum>(), {kinked, kinked * -0.5}});
  rows.push_back({"maximum row", two<maximum>(), {low, mixed * 3.0}});
  rows.push_back({"minimum row", two<minimum>(), {high, mixed * 3.0}});
  return rows;
}

std::vector<Row> shape_rows() {
  const Tensor x = normal({2, 3, 4}), y = normal({2, 1, 4}, 1);
  return {
      {"reshape",
       [](Inputs v) {
         return reshape(v[0], {4, -1});
       },
       {x}},
      {"reshape of a transpose",
       [](Inputs v) {
         return reshape(transpose(v[0], 0, 2), {6, 4});
       },
       {x}},
      {"flatten", [](Inputs v) { return flatten(v[0], 1); }, {x}},
      {"permute",
       [](Inputs v) {
         return permute(v[0], {2, 0, 1});
       },
       {x}},
      {"transpose", [](Inputs v) { return transpose(v[0], 0, -1); }, {x}},
      {"expand",
       [](Inputs v) {
         return expand(v[0], {3, 2, 5, 4});
       },
       {y}},
      {"unsqueeze", [](Inputs v) { return unsqueeze(v[0], 1); }, {x}},
      {"squeeze", [](Inputs v) { return squeeze(v[0], 1); }, {y}},
      {"slice", [](Inputs v) { return slice(v[0], 2, 1, 4, 2); }, {x}},
      {"slice_backward",
       [](Inputs v) {
         return slice_backward(v[0], {2, 3, 8}, 2, 0, 8, 2);
       },
       {x}},
      {"narrow", [](Inputs v) { return narrow(v[0], 1, 1, 2); }, {x}},
      {"select", [](Inputs v) { return select(v[0], 1, 2); }, {x}},
      {"cat",
       [](Inputs v) {
         return cat({v[0], v[1], v[0]}, 1);
       },
       {x, y}},
      {"stack",
       [](Inputs v) {
         return stack({v[0], v[0] * v[0]}, -1);
       },
       {y}},
      {"pad",
       [](Inputs v) {
         return pad(v[0], {1, 2, 0, 1}, 0.5);
       },
       {x}},
      {"pad that crops",
       [](Inputs v) {
         return pad(v[0], {-1, 2});
       },
       {x}},
      {"flip",
       [](Inputs v) {
         return flip(v[0], {0, 2});
       },
       {x}},
  };
}

std::vector<Row> index_rows() {
  const Tensor x = normal({4, 3}), repeated = indices({0, 2, 2, 3, 0}, {5});
  const Tensor corner = indices({1, 0, 3, 1, 1, 2}, {2, 3});
  const Tensor mask = tensor_of({1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0}, {4, 3}, DType::boolean);
  return {
      {"index_select", [=](Inputs v) { return index_select(v[0], 0, repeated); }, {x}},
      {"index_add", [=](Inputs v) { return index_add(v[0], 0, repeated, 4); }, {normal({5, 2})}},
      {"gather", [=](Inputs v) { return gather(v[0], 0, corner); }, {x}},
      {"scatter_add",
       [=](Inputs v) {
         return scatter_add(v[0], 0, corner, {4, 3});
       },
       {normal({2, 3})}},
      {"embedding", [=](Inputs v) { return embedding(v[0], corner); }, {x}},
      {"where", [=](Inputs v) { return where(mask, v[0], v[1]); }, {x, normal({3}, 1)}},
      {"masked_fill", [=](Inputs v) { return masked_fill(v[0], mask, -2); }, {x}},
  };
}

void check_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    std::string why;
    CAPTURE(row.name);
    const bool first = gradcheck(row.f, row.inputs, {}, &why);
    INFO(why);
    CHECK(first);
    why.clear();
    const bool second = gradgradcheck(row.f, row.inputs, {}, &why);
    INFO("second derivative: " << why);
    CHECK(second);
  }
}

}  // namespace

TEST_CASE("gradcheck: elementwise", "[autograd][gradcheck]") { check_rows(elementwise_rows()); }
TEST_CASE("gradcheck: views, joins and padding", "[autograd][gradcheck]") { check_rows(shape_rows()); }
TEST_CASE("gradcheck: indexing and selection", "[autograd][gradcheck]") { check_rows(index_rows()); }

TEST_CASE("gradcheck: a wrong gradient is found, of first and of second order", "[autograd][gradcheck]") {
  // exp(x) with a detached factor has the right value and half the derivative.
  const auto wrong_first = [](Inputs x) { return x[0] * x[0].detach(); };
  std::string why;
  CHECK_FALSE(gradcheck(wrong_first, {normal({3})}, {}, &why));
  CHECK_THAT(why, ContainsSubstring("input 0"));
  // x^2 written so that its first derivative is right but a constant on the tape.
  const auto wrong_second = [](Inputs x) {
    return square(x[0].detach()) + x[0] * x[0].detach() * 2.0 - square(x[0].detach()) * 2.0;
  };
  CHECK(gradcheck(wrong_second, {normal({3})}));
  CHECK_FALSE(gradgradcheck(wrong_second, {normal({3})}));
  CHECK_THROWS_WITH(gradcheck(one<exp>(), {zeros({2})}), ContainsSubstring("must be f64"));
}
