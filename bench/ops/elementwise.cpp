// Ops that do next to nothing per element: memory traffic, at two sizes. 2M elements (a feature map of the U-Net, 8
// MiB) stay in a large last cache, 16M (64 MiB) do not.
#include "tensor/ops/elementwise.h"

#include "bench/measure.h"
#include "bench/registry.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct NamedSize {
  const char* name;
  int64_t count;
};
constexpr NamedSize kSizes[] = {{"2M", 1 << 21}, {"16M", 1 << 24}};

using Binary = Tensor (*)(const Tensor&, const Tensor&);
using Unary = Tensor (*)(const Tensor&);

void add_binary(const char* op, Binary f) {
  for (const NamedSize& size : kSizes) {
    add_benchmark(std::string("elementwise/") + op + "/" + size.name, benchmark::kMicrosecond,
                  [=](benchmark::State& state) {
                    const Tensor a = randn({size.count}, "a"), b = randn({size.count}, "b");
                    measure(state, [&] { return f(a, b); });
                  });
  }
}

void add_unary(const char* op, Unary f) {
  for (const NamedSize& size : kSizes) {
    add_benchmark(std::string("elementwise/") + op + "/" + size.name, benchmark::kMicrosecond,
                  [=](benchmark::State& state) {
                    const Tensor x = randn({size.count}, "x");
                    measure(state, [&] { return f(x); });
                  });
  }
}

// On a feature map (16, 128, 32, 32), 2M elements.
void add_of_image(const char* op, Unary f) {
  add_benchmark(std::string("elementwise/") + op + "/16x128x32x32", benchmark::kMicrosecond,
                [=](benchmark::State& state) {
                  const Tensor x = randn({16, 128, 32, 32}, "x");
                  measure(state, [&] { return f(x); });
                });
}

void add_cat() {
  add_benchmark("elementwise/cat/16x128+128x32x32", benchmark::kMicrosecond, [](benchmark::State& state) {
    const Tensor a = randn({16, 128, 32, 32}, "a"), b = randn({16, 128, 32, 32}, "b");
    const Work work = work_of(0, 4.0 * 2 * static_cast<double>(a.numel() + b.numel()));
    measure(state, work, [&] { return cat({a, b}, 1); });
  });
}

}  // namespace

void register_elementwise() {
  add_binary("add", [](const Tensor& a, const Tensor& b) { return a + b; });
  add_binary("mul", [](const Tensor& a, const Tensor& b) { return a * b; });
  add_binary("silu_backward", [](const Tensor& g, const Tensor& x) { return silu_backward(g, x); });
  add_unary("mul_scalar", [](const Tensor& x) { return x * 0.5; });
  add_unary("silu", [](const Tensor& x) { return silu(x); });
  add_unary("exp", [](const Tensor& x) { return exp(x); });
  add_unary("copy", [](const Tensor& x) { return x.clone(); });
  add_of_image("add_bias", [](const Tensor& x) {
    static const Tensor bias = randn({128, 1, 1}, "bias");
    return x + bias;
  });
  add_of_image("nchw_to_nhwc", [](const Tensor& x) { return permute(x, {0, 2, 3, 1}).contiguous(); });
  add_of_image("nhwc_to_nchw", [](const Tensor& x) {
    return permute(x.reshape({16, 32, 32, 128}), {0, 3, 1, 2}).contiguous();
  });
  add_benchmark("elementwise/transpose/2048x4096", benchmark::kMicrosecond, [](benchmark::State& state) {
    const Tensor x = randn({2048, 4096}, "x");
    measure(state, [&] { return transpose(x, 0, 1).contiguous(); });
  });
  add_cat();
}

}  // namespace sfumato::bench
