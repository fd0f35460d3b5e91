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

// All entries differ by more than any step: for extrema and pooling.
Tensor distinct(const Shape& shape) {
  const auto order = random_permutation(shape.numel(), RandomStream::of("gradcheck", "distinct"));
  Tensor x = empty(shape, DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) {
    x.mutable_data<double>()[i] = 0.1 * static_cast<double>(order[static_cast<size_t>(i)]) - 1;
  }
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

std::vector<Row> reduction_rows() {
  const Tensor x = normal({2, 3, 4});
  std::vector<Row> rows;
  const std::vector<std::pair<Dims, bool>> choices{{{}, false}, {{1}, false}, {{0, 2}, true}, {{-1}, true}};
  for (const auto& [dims, keepdim] : choices) {
    const std::string where = " " + to_string(dims);
    rows.push_back({"sum" + where, [=](Inputs v) { return sum(v[0], dims, keepdim); }, {x}});
    rows.push_back({"mean" + where, [=](Inputs v) { return mean(v[0], dims, keepdim); }, {x}});
    rows.push_back({"amax" + where, [=](Inputs v) { return amax(v[0], dims, keepdim); }, {distinct({2, 3, 4})}});
    rows.push_back({"amin" + where, [=](Inputs v) { return amin(v[0], dims, keepdim); }, {distinct({2, 3, 4})}});
    rows.push_back({"logsumexp" + where, [=](Inputs v) { return logsumexp(v[0], dims, keepdim); }, {x}});
    rows.push_back({"var" + where, [=](Inputs v) { return var(v[0], dims, 1, keepdim); }, {x}});
    rows.push_back({"biased var" + where, [=](Inputs v) { return var(v[0], dims, 0, keepdim); }, {x}});
  }
  rows.push_back({"sum_to", [](Inputs v) { return sum_to(v[0], {3, 1}); }, {x}});
  for (const int64_t dim : {0, 1, -1}) {
    const std::string where = " " + std::to_string(dim);
    rows.push_back({"cumsum" + where, [=](Inputs v) { return cumsum(v[0], dim); }, {x}});
    rows.push_back({"reverse cumsum" + where, [=](Inputs v) { return cumsum(v[0], dim, true); }, {x}});
    rows.push_back({"softmax" + where, [=](Inputs v) { return softmax(v[0], dim); }, {normal({2, 3, 2})}});
    rows.push_back({"log_softmax" + where, [=](Inputs v) { return log_softmax(v[0], dim); }, {normal({2, 3, 2})}});
  }
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

std::vector<Row> product_rows() {
  const Tensor a = normal({3, 4}), b = normal({4, 2}, 1), batch = normal({2, 1, 3, 4}, 2), many = normal({3, 4, 2}, 3);
  const Conv2dOptions same{.padding = 1}, strided{.stride = 2, .padding = 0, .padding_end = 1},
      dilated{.padding = 2, .dilation = 2};
  const Conv2dOptions groups{.padding = 1, .groups = 2};
  return {
      {"matmul", two<matmul>(), {a, b}},
      {"matmul batches", two<matmul>(), {batch, many}},
      {"matmul vectors", two<matmul>(), {normal({4}), normal({4}, 1)}},
      {"matmul row", two<matmul>(), {normal({4}), b}},
      {"matmul column", two<matmul>(), {a, normal({4}, 1)}},
      {"matmul of a transpose", [](Inputs v) { return matmul(transpose(v[0], 0, 1), v[1]); }, {normal({4, 3}), b}},
      {"linear",
       [](Inputs v) { return linear(v[0], v[1], v[2]); },
       {normal({2, 3, 4}), normal({5, 4}, 1), normal({5}, 2)}},
      {"linear without bias", [](Inputs v) { return linear(v[0], v[1]); }, {a, normal({5, 4}, 1)}},
      {"conv2d",
       [=](Inputs v) { return conv2d(v[0], v[1], v[2], same); },
       {normal({1, 2, 4, 3}), normal({3, 2, 3, 3}, 1), normal({3}, 2)}},
      {"conv2d stride",
       [=](Inputs v) { return conv2d(v[0], v[1], {}, strided); },
       {normal({1, 2, 6, 4}), normal({2, 2, 3, 3}, 1)}},
      {"conv2d dilated",
       [=](Inputs v) { return conv2d(v[0], v[1], {}, dilated); },
       {normal({1, 1, 5, 4}), normal({2, 1, 3, 3}, 1)}},
      {"conv2d groups",
       [=](Inputs v) { return conv2d(v[0], v[1], {}, groups); },
       {normal({1, 4, 3, 3}), normal({4, 2, 3, 3}, 1)}},
      {"conv2d 1x1", [](Inputs v) { return conv2d(v[0], v[1]); }, {normal({2, 3, 2, 2}), normal({2, 3, 1, 1}, 1)}},
      {"conv2d_backward_input",
       [=](Inputs v) {
         return conv2d_backward_input(v[0], v[1], {1, 2, 6, 4}, strided);
       },
       {normal({1, 2, 3, 2}), normal({2, 2, 3, 3}, 1)}},
      {"conv2d_backward_weight",
       [=](Inputs v) {
         return conv2d_backward_weight(v[0], v[1], {2, 2, 3, 3}, strided);
       },
       {normal({1, 2, 6, 4}), normal({1, 2, 3, 2}, 1)}},
      {"conv_transpose2d",
       [](Inputs v) { return conv_transpose2d(v[0], v[1], v[2], {.stride = 2, .padding = 1, .output_padding = 1}); },
       {normal({1, 2, 2, 3}), normal({2, 2, 3, 3}, 1), normal({2}, 2)}},
  };
}

std::vector<Row> image_rows() {
  const Tensor image = normal({1, 2, 4, 4});
  return {
      {"upsample_nearest2d", [](Inputs v) { return upsample_nearest2d(v[0], 2); }, {normal({1, 2, 2, 3})}},
      {"upsample_nearest2d_backward", [](Inputs v) { return upsample_nearest2d_backward(v[0], 2); }, {image}},
      {"upsample_bilinear2d", [](Inputs v) { return upsample_bilinear2d(v[0], 2); }, {normal({1, 2, 2, 3})}},
      {"upsample_bilinear2d_backward", [](Inputs v) { return upsample_bilinear2d_backward(v[0], 2); }, {image}},
      {"avg_pool2d", [](Inputs v) { return avg_pool2d(v[0], 3, 1); }, {image}},
      {"avg_pool2d_backward",
       [](Inputs v) {
         return avg_pool2d_backward(v[0], {1, 2, 4, 4}, 2, 2);
       },
       {normal({1, 2, 2, 2})}},
      {"max_pool2d", [](Inputs v) { return max_pool2d(v[0], 3, 2, 1); }, {distinct({1, 2, 5, 4})}},
      {"dropout", [](Inputs v) { return dropout(v[0], 0.4, RandomStream::of("dropout", "gradcheck")); }, {image}},
  };
}

std::vector<Row> norm_rows() {
  const Tensor x = normal({2, 4, 3}), weight = normal({4}, 1), bias = normal({4}, 2);
  const Tensor q = normal({2, 3, 2}), k = normal({2, 4, 2}, 1), v = normal({2, 4, 3}, 2);
  const auto group = [](bool activation) {
    return [activation](Inputs i) {
      return group_norm(i[0], i[1], i[2], {.num_groups = 2, .eps = 1e-5, .silu = activation});
    };
  };
  return {
      {"group_norm", group(false), {x, weight, bias}},
      {"group_norm with silu", group(true), {x, weight, bias}},
      {"group_norm, no weights", [](Inputs i) { return group_norm(i[0], {}, {}, {.num_groups = 2}); }, {x}},
      {"layer_norm",
       [](Inputs i) {
         return layer_norm(i[0], {4, 3}, i[1], i[2]);
       },
       {x, normal({4, 3}, 3), normal({4, 3}, 4)}},
      {"rms_norm", [](Inputs i) { return rms_norm(i[0], {3}, i[1]); }, {x, normal({3}, 5)}},
      {"batch_norm", [](Inputs i) { return batch_norm(i[0], i[1], i[2]); }, {x, weight, bias}},
      {"attention", [](Inputs i) { return scaled_dot_product_attention(i[0], i[1], i[2]); }, {q, k, v}},
      {"attention, channels first",
       [](Inputs i) { return attention_channels_first(i[0], i[1], i[2], 2); },
       {normal({1, 4, 3}), normal({1, 4, 3}, 1), normal({1, 4, 3}, 2)}},
  };
}

std::vector<Row> loss_rows() {
  const Tensor x = normal({3, 4}), far = affine(off_zero({3, 4}), 2, 0);
  std::vector<Row> rows{
      {"cross_entropy",
       [](Inputs v) {
         return cross_entropy(v[0], indices({3, 0, 1}, {3}));
       },
       {x}},
  };
  for (const Reduction reduction : {Reduction::none, Reduction::mean, Reduction::sum}) {
    rows.push_back({"mse_loss", [=](Inputs v) { return mse_loss(v[0], v[1], reduction); }, {x, normal({3, 4}, 1)}});
    rows.push_back(
        {"smooth_l1_loss", [=](Inputs v) { return smooth_l1_loss(v[0], v[0] * 0.0, 0.05, reduction); }, {far}});
    rows.push_back({"smooth_l1_loss inside",
                    [=](Inputs v) { return smooth_l1_loss(v[0], v[1], 9, reduction); },
                    {x, normal({3, 4}, 1)}});
  }
  return rows;
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
TEST_CASE("gradcheck: reductions", "[autograd][gradcheck]") { check_rows(reduction_rows()); }
TEST_CASE("gradcheck: views, joins and padding", "[autograd][gradcheck]") { check_rows(shape_rows()); }
TEST_CASE("gradcheck: indexing and selection", "[autograd][gradcheck]") { check_rows(index_rows()); }
TEST_CASE("gradcheck: products and convolutions", "[autograd][gradcheck]") { check_rows(product_rows()); }
TEST_CASE("gradcheck: resampling and dropout", "[autograd][gradcheck]") { check_rows(image_rows()); }
TEST_CASE("gradcheck: norms and attention", "[autograd][gradcheck]") { check_rows(norm_rows()); }
TEST_CASE("gradcheck: losses", "[autograd][gradcheck]") { check_rows(loss_rows()); }

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
