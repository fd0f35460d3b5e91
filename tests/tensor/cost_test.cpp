// Cost accounting and dry runs: what ops report, and that pretending takes the memory of the real thing and no work.
#include "tensor/cost.h"

#include <string>
#include <vector>

#include "catch.h"
#include "tensor/allocator.h"
#include "tensor/ops/conv.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/matmul.h"
#include "tensor/ops/norm.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

struct Heard {
  std::string op, kernel;
  double flops, bytes;
};

template <class F>
std::vector<Heard> listen(F&& f) {
  std::vector<Heard> heard;
  const CostScope scope([&](const OpCost& c) { heard.push_back({c.op, c.kernel, c.flops, c.bytes}); });
  f();
  return heard;
}

// A little of everything that a training step does.
void work(const Tensor& x, const Tensor& w3, const Tensor& w1, const Tensor& down) {
  Tensor h = conv2d(x, w3, {}, {.padding = 1});
  h = group_norm(h, ones({16}), zeros({16}), {.num_groups = 4, .silu = true}).out;
  h = conv2d(h, w1, zeros({16}));
  conv2d_backward_weight(x, h, w3.shape(), {.padding = 1});
  conv2d_backward_input(h, w3, x.shape(), {.padding = 1});
  h = conv2d(h, down, {}, {.stride = 2, .padding = 1});
  matmul(h.reshape({4, 16, 256}), h.reshape({4, 256, 16}));
}

}  // namespace

TEST_CASE("cost: ops report the plain algorithm's arithmetic and each operand's bytes once") {
  const Tensor x = zeros({2, 3, 8, 8}), w = zeros({5, 3, 3, 3}), a = zeros({4, 7, 6}), b = zeros({6, 9});
  auto heard = listen([&] { conv2d(x, w, {}, {.padding = 1}); });
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].op == "conv2d");
  CHECK(heard[0].flops == 2.0 * 2 * 5 * 64 * 27);
  CHECK(heard[0].bytes == 4.0 * (2 * 3 * 64 + 5 * 27 + 2 * 5 * 64));

  heard = listen([&] { conv2d_backward_weight(x, zeros({2, 5, 8, 8}), w.shape(), {.padding = 1}); });
  CHECK(heard.back().op == "conv2d_backward_weight");
  CHECK(heard.back().flops == 2.0 * 2 * 5 * 64 * 27);

  heard = listen([&] { matmul(a, b); });
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].flops == 2.0 * 4 * 7 * 6 * 9);

  heard = listen([&] { add(x, x); });
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].op == "add");
  CHECK(heard[0].flops == 0);
  CHECK(heard[0].bytes == 3.0 * 4 * 2 * 3 * 64);
}

TEST_CASE("cost: only the innermost listener hears, and none after its scope") {
  int outer = 0, inner = 0;
  const Tensor x = zeros({3});
  {
    const CostScope first([&](const OpCost&) { ++outer; });
    neg(x);
    {
      const CostScope second([&](const OpCost&) { ++inner; });
      neg(x);
    }
    neg(x);
  }
  neg(x);
  CHECK(outer == 2);
  CHECK(inner == 1);
}

TEST_CASE("cost: a dry run computes nothing") {
  const Tensor x = full({1000}, 2.0);
  Tensor y = full({1000}, 1.0);
  {
    const DryRunScope dry;
    y.copy_from(x);
    y.fill(5);
    CHECK(add(x, x).shape() == Shape{1000});
    CHECK_THROWS_AS(add(x, zeros({999})), Error);  // checks are made all the same
  }
  CHECK(y.to_vector() == std::vector<double>(1000, 1.0));
  y.copy_from(x);
  CHECK(y.to_vector() == std::vector<double>(1000, 2.0));
}

TEST_CASE("cost: a dry run takes the peak memory of the real one, kernels' scratch memory included") {
  const Tensor x = randn({4, 16, 32, 32}, "x"), w3 = randn({16, 16, 3, 3}, "w"), w1 = randn({16, 16, 1, 1}, "w");
  const auto peak = [&] {
    const size_t before = allocator_stats().live_bytes;
    reset_peak();
    work(x, w3, w1, w3);
    return allocator_stats().peak_bytes - before;
  };
  peak();  // primitives and their weights are made once
  const size_t real = peak();
  CHECK(real > 4 * 16 * 32 * 32 * 4);
  const DryRunScope dry;
  CHECK(peak() == real);
}

TEST_CASE("cost: drawn indices are in range in a dry run") {
  Tensor garbage = full({64}, 1e18, DType::i64);
  garbage = Tensor();  // the allocator will hand out the same block
  const DryRunScope dry;
  for (const double index : randint(0, 10, {64}, "t").to_vector()) CHECK(index == 0);
}
