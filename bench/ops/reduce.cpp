// Sums and maxima: of everything, of rows, of columns, and per channel of a feature map.
#include "tensor/ops/reduce.h"

#include "bench/measure.h"
#include "bench/registry.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

void add_reduction(const std::string& name, const Shape& shape, Tensor (*f)(const Tensor&)) {
  add_benchmark("reduce/" + name, benchmark::kMicrosecond, [=](benchmark::State& state) {
    const Tensor x = randn(shape, "x");
    measure(state, [&] { return f(x); });
  });
}

}  // namespace

void register_reduce() {
  const Shape matrix{2048, 4096}, image{16, 128, 32, 32};
  add_reduction("sum/2048x4096/all", matrix, [](const Tensor& x) { return sum(x); });
  add_reduction("sum/2048x4096/rows", matrix, [](const Tensor& x) { return sum(x, {1}); });
  add_reduction("sum/2048x4096/columns", matrix, [](const Tensor& x) { return sum(x, {0}); });
  add_reduction("sum/16x128x32x32/per_channel", image, [](const Tensor& x) { return sum(x, {0, 2, 3}); });
  add_reduction("sum/16x128x32x32/over_channels", image, [](const Tensor& x) { return sum(x, {1}); });
  add_reduction("amax/2048x4096/rows", matrix, [](const Tensor& x) { return amax(x, {1}); });
}

}  // namespace sfumato::bench
