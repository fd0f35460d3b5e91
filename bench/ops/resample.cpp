// Changing an image's resolution, as between the U-Net's levels.
#include "autograd/ops/resample.h"

#include "bench/measure.h"
#include "bench/registry.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

// Those that do not report their cost move x and the result once.
void add_resampling(const char* op, const Shape& shape, const char* shape_name, Tensor (*f)(const Tensor&)) {
  add_benchmark(std::string("resample/") + op + "/" + shape_name, benchmark::kMicrosecond,
                [=](benchmark::State& state) {
                  const Tensor x = randn(shape, "x");
                  const Work work = work_of(0, 4.0 * static_cast<double>(x.numel() + f(x).numel()));
                  measure(state, work, [&] { return f(x); });
                });
}

}  // namespace

void register_resample() {
  const Shape small{16, 256, 16, 16}, large{16, 256, 32, 32};
  add_resampling("nearest", small, "16x256x16x16", [](const Tensor& x) { return upsample_nearest2d(x, 2); });
  add_resampling("nearest_backward", large, "16x256x32x32",
                 [](const Tensor& x) { return upsample_nearest2d_backward(x, 2); });
  add_resampling("bilinear", small, "16x256x16x16",
                 [](const Tensor& x) { return upsample_bilinear2d(Variable(x), 2).tensor(); });
  add_resampling("avg_pool", large, "16x256x32x32",
                 [](const Tensor& x) { return avg_pool2d(Variable(x), 2).tensor(); });
}

}  // namespace sfumato::bench
