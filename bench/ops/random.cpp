// Random numbers and dropout.
#include "tensor/random.h"

#include "bench/measure.h"
#include "bench/registry.h"

namespace sfumato::bench {

void register_random() {
  add_benchmark("random/rand/4M", benchmark::kMicrosecond, [](benchmark::State& state) {
    measure(state, [] { return rand({64, 65536}, "x"); });
  });
  add_benchmark("random/randn/4M", benchmark::kMicrosecond, [](benchmark::State& state) {
    measure(state, [] { return randn({64, 65536}, "x"); });
  });
  add_benchmark("random/dropout/16x128x32x32", benchmark::kMicrosecond, [](benchmark::State& state) {
    const Tensor x = randn({16, 128, 32, 32}, "x");
    measure(state, [&] { return dropout_with(x, 0.1, RandomStream::of("dropout")); });
  });
}

}  // namespace sfumato::bench
