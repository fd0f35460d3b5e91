// Attention over the pixels of an image, as the U-Net does it, without its projections.
#include "autograd/ops/attention.h"

#include <fmt/format.h>

#include "autograd/variable.h"
#include "bench/measure.h"
#include "bench/registry.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct AttentionShape {
  int64_t batch, channels, pixels, heads;
  Shape shape() const { return {batch, channels, pixels}; }
};

void forward(benchmark::State& state, const AttentionShape& s) {
  const NoGradGuard guard;
  const Variable q(randn(s.shape(), "q")), k(randn(s.shape(), "k")), v(randn(s.shape(), "v"));
  measure(state, [&] { return attention_channels_first(q, k, v, s.heads); });
}

void forward_backward(benchmark::State& state, const AttentionShape& s) {
  Variable q(randn(s.shape(), "q"), true), k(randn(s.shape(), "k"), true), v(randn(s.shape(), "v"), true);
  const Tensor dy = randn(s.shape(), "dy");
  measure(state, [&] {
    for (Variable* leaf : {&q, &k, &v}) {
      leaf->zero_grad();
    }
    attention_channels_first(q, k, v, s.heads).backward(dy);
  });
}

}  // namespace

void register_attention() {
  // cifar10_ddpm, small32, and one of several heads over more pixels.
  for (const AttentionShape& s : {AttentionShape{16, 256, 256, 1}, {64, 128, 64, 1}, {4, 256, 1024, 4}}) {
    const auto add_pass = [&s](const char* pass, void (*body)(benchmark::State&, const AttentionShape&)) {
      add_benchmark(fmt::format("attention/{}/{}x{}x{}/{}", pass, s.batch, s.channels, s.pixels, s.heads),
                    benchmark::kMicrosecond, [s, body](benchmark::State& state) { body(state, s); });
    };
    add_pass("forward", forward);
    add_pass("forward_backward", forward_backward);
  }
}

}  // namespace sfumato::bench
