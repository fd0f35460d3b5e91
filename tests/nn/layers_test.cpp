#include "nn/layers.h"

#include <algorithm>
#include <cmath>

#include "catch.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/matmul.h"
#include "tensor/ops/resample.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = a.to_vector(), y = b.to_vector();
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    largest = std::max(largest, std::abs(x[i] - y[i]));
  }
  return largest;
}

}  // namespace

TEST_CASE("layers: default weights are uniform within 1/sqrt(fan_in), zeros on request", "[nn]") {
  Sequential net(Conv2d(8, 64, 3, {.groups = 2}), Linear(100, 400), Linear(100, 400, true, Init::zeros));
  initialize(net, 3);
  const auto state = net.state_dict();
  const auto extent = [&](size_t i) {
    const auto values = state[i].second.to_vector();
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    return std::pair(*low, *high);
  };
  const double conv_bound = 1 / std::sqrt(4.0 * 9), linear_bound = 0.1;
  for (const auto& [index, bound] : {std::pair<size_t, double>{0, conv_bound}, {2, linear_bound}, {3, linear_bound}}) {
    CHECK(extent(index).first >= -bound);
    CHECK(extent(index).second <= bound);
    CHECK(extent(index).first < -0.95 * bound);  // a wrong fan_in gives another width
    CHECK(extent(index).second > 0.95 * bound);
  }
  CHECK(state[4].first == "2.weight");
  CHECK(extent(4) == std::pair(0.0, 0.0));
  CHECK(extent(5) == std::pair(0.0, 0.0));
}

TEST_CASE("layers: Linear and Sequential compute what their ops compute", "[nn]") {
  Sequential net(Linear(3, 4), SiLU(), Linear(4, 2, /*bias=*/false));
  initialize(net, 0);
  const auto p = net.parameters();
  REQUIRE(p.size() == 3);
  const Tensor x = randn({5, 3}, "layers_test");
  const Tensor wanted = linear(silu(linear(x, p[0].tensor(), p[1].tensor())), p[2].tensor());
  CHECK(largest_difference(net(x).tensor(), wanted) == 0);
}

TEST_CASE("layers: Conv2d passes its options on", "[nn]") {
  Conv2d conv(4, 6, 3, {.stride = 2, .padding = 1, .groups = 2});
  initialize(conv, 0);
  const Tensor x = randn({2, 4, 9, 9}, "layers_test");
  const Tensor wanted = conv2d(x, conv.weight->tensor(), conv.bias->tensor(), {.stride = 2, .padding = 1, .groups = 2});
  CHECK(wanted.shape() == Shape{2, 6, 5, 5});
  CHECK(largest_difference(conv(x).tensor(), wanted) == 0);
  CHECK(conv.describe() == "Conv2d(4, 6, 3, stride=2, padding=1, groups=2)");
  CHECK_THROWS_AS(Conv2d(4, 6, 3, {.groups = 4}), Error);
}

TEST_CASE("layers: GroupNorm's fused SiLU is SiLU of its output", "[nn]") {
  GroupNorm norm(2, 6, 1e-6);
  initialize(norm, 0);
  norm.weight.assign(randn({6}, "weight"));
  norm.bias.assign(randn({6}, "bias"));
  const Tensor x = randn({3, 6, 4, 4}, "layers_test");
  CHECK(largest_difference(norm.forward_silu(x).tensor(), silu(norm(x).tensor())) < 1e-6);
  CHECK_THROWS_AS(GroupNorm(4, 6), Error);
}

TEST_CASE("layers: Upsample and Embedding", "[nn]") {
  const Tensor x = randn({1, 2, 3, 3}, "layers_test");
  CHECK(largest_difference(Upsample(2)(x).tensor(), upsample_nearest2d(x, 2)) == 0);
  Embedding table(10, 4);
  initialize(table, 0);
  Tensor index = zeros({3}, DType::i64);
  index.mutable_data<int64_t>()[1] = 7;
  const auto rows = table(index).tensor().to_vector();
  const auto all = table.weight->tensor().to_vector();
  CHECK(std::equal(rows.begin() + 4, rows.begin() + 8, all.begin() + 28));
}

TEST_CASE("dropout: acts in train mode only, and its mask is the path's and the step's", "[nn]") {
  Sequential net(Dropout(0.25), Dropout(0.25));
  initialize(net, 0);
  const Tensor x = full({4, 1000}, 1.0);
  Layer &first = net[0], &second = net[1];
  const auto draw = [&](const Layer& layer, int64_t step) {
    const RandomScope scope({.seed = 9, .step = step});
    return layer(x).tensor().to_vector();
  };
  CHECK(draw(first, 1) == draw(first, 1));  // computing a step again gives the same mask
  CHECK(draw(first, 1) != draw(first, 2));
  CHECK(draw(first, 1) != draw(second, 1));  // keyed by call order or by nothing, these would agree or drift
  const auto values = draw(first, 1);
  const auto zeroed = std::count(values.begin(), values.end(), 0.0);
  CHECK(zeroed > 850);  // 4000 draws: 1000 expected, deviation 27
  CHECK(zeroed < 1150);
  CHECK(*std::max_element(values.begin(), values.end()) == Approx(1 / 0.75));
  net.eval();
  CHECK(largest_difference(net(x).tensor(), x) == 0);
}

TEST_CASE("dropout: without a path it refuses instead of sharing a mask", "[nn]") {
  const Dropout layer(0.5);
  CHECK_THROWS_AS(layer(full({2}, 1.0)), Error);
  CHECK_THROWS_AS(Dropout(1.0), Error);
}

TEST_CASE("layers: a backward pass reaches every parameter", "[nn]") {
  Sequential net(Conv2d(1, 4, 3, {.padding = 1}), GroupNorm(2, 4), SiLU(), Upsample(2), Conv2d(4, 1, 1));
  initialize(net, 0);
  sum(net(randn({2, 1, 4, 4}, "layers_test"))).backward();
  for (const auto& [name, parameter] : net.named_parameters()) {
    INFO(name);
    REQUIRE(parameter.grad().defined());
    CHECK(parameter.grad().shape() == parameter.shape());
  }
  net.zero_grad();
  CHECK_FALSE(net.parameters()[0].grad().defined());
}
