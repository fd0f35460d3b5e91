// Group norm with and without SiLU, softmax: forward, backward, and both through autograd.
#include "tensor/ops/norm.h"

#include <fmt/format.h>

#include "autograd/variable.h"
#include "bench/measure.h"
#include "bench/registry.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct NormShape {
  int64_t batch, channels, size;
  Shape shape() const { return {batch, channels, size, size}; }
};

struct GroupNormInputs {
  Tensor x, dy, weight, bias;
  GroupNormOptions options;

  GroupNormInputs(const NormShape& s, bool silu)
      : x(randn(s.shape(), "x")),
        dy(randn(s.shape(), "dy")),
        weight(ones({s.channels})),
        bias(zeros({s.channels})),
        options{.num_groups = 32, .eps = 1e-6, .silu = silu} {}
};

void forward(benchmark::State& state, const GroupNormInputs& in) {
  measure(state, [&] { return group_norm(in.x, in.weight, in.bias, in.options); });
}

void backward(benchmark::State& state, const GroupNormInputs& in) {
  const GroupNormResult y = group_norm(in.x, in.weight, in.bias, in.options);
  measure(state, [&] { return group_norm_backward(in.dy, in.x, y.mean, y.rstd, in.weight, in.bias, in.options); });
}

void forward_backward(benchmark::State& state, const GroupNormInputs& in) {
  Variable x(in.x, true), weight(in.weight, true), bias(in.bias, true);
  measure(state, [&] {
    for (Variable* leaf : {&x, &weight, &bias}) {
      leaf->zero_grad();
    }
    group_norm(x, weight, bias, in.options).backward(in.dy);
  });
}

void register_group_norm(const NormShape& s, bool silu) {
  const auto add_pass = [&](const char* pass, void (*body)(benchmark::State&, const GroupNormInputs&)) {
    add_benchmark(
        fmt::format("group_norm{}/{}/{}x{}x{}x{}", silu ? "_silu" : "", pass, s.batch, s.channels, s.size, s.size),
        benchmark::kMicrosecond, [=](benchmark::State& state) { body(state, GroupNormInputs(s, silu)); });
  };
  add_pass("forward", forward);
  add_pass("backward", backward);
  add_pass("forward_backward", forward_backward);
}

void register_softmax(int64_t rows, int64_t columns) {
  const std::string shape = fmt::format("{}x{}", rows, columns);
  add_benchmark("softmax/forward/" + shape, benchmark::kMicrosecond, [=](benchmark::State& state) {
    const Tensor x = randn({rows, columns}, "x");
    measure(state, [&] { return softmax(x, -1); });
  });
  add_benchmark("softmax/backward/" + shape, benchmark::kMicrosecond, [=](benchmark::State& state) {
    const Tensor y = softmax(randn({rows, columns}, "x"), -1), dy = randn({rows, columns}, "dy");
    measure(state, [&] { return softmax_backward(y, dy, -1); });
  });
}

}  // namespace

void register_norm() {
  for (const NormShape& shape : {NormShape{16, 128, 32}, NormShape{16, 256, 16}, NormShape{16, 256, 8}}) {
    register_group_norm(shape, /*silu=*/true);
  }
  register_group_norm({16, 256, 16}, /*silu=*/false);  // before the attention
  register_softmax(4096, 256);
  register_softmax(65536, 1024);
}

}  // namespace sfumato::bench
