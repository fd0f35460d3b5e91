// What follows the backward pass: the gradients' norm, Adam scaled by the clipping factor, the moving average of the
// weights. At the size of cifar10_ddpm (143 MB a buffer: memory alone counts) and at 64 Ki parameters (the cache).
#include "tensor/ops/optim.h"

#include "bench/measure.h"
#include "bench/registry.h"
#include "nn/optim/clip.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

struct Buffers {
  Tensor parameters, gradients, exp_avg, exp_avg_sq, ema;
  int64_t step = 0;

  explicit Buffers(int64_t count)
      : parameters(randn({count}, "parameters")),
        gradients(randn({count}, "gradients")),
        exp_avg(zeros({count})),
        exp_avg_sq(zeros({count})),
        ema(parameters.clone()) {}

  void adam(double grad_scale) {
    adam_(parameters, gradients, exp_avg, exp_avg_sq, {.lr = 2e-4, .grad_scale = grad_scale, .step = ++step});
  }
  void average() { lerp_(ema, parameters, 1e-4); }
  void clip_adam_ema() {
    adam(clip_coefficient(gradient_norm(gradients), 1.0));
    average();
  }
};

void add_update(const std::string& what, const char* size, int64_t count, void (*f)(Buffers&)) {
  add_benchmark("optimizer/" + what + "/" + size, benchmark::kMicrosecond, [=](benchmark::State& state) {
    Buffers buffers(count);
    measure(state, [&] { f(buffers); });
  });
}

}  // namespace

void register_optimizer() {
  const struct {
    const char* name;
    int64_t count;
  } sizes[] = {{"64K", 1 << 16}, {"35.7M", 35'746'307}};
  for (const auto& [size, count] : sizes) {
    add_update("clip_adam_ema", size, count, [](Buffers& b) { b.clip_adam_ema(); });
    add_update("norm", size, count, [](Buffers& b) { benchmark::DoNotOptimize(gradient_norm(b.gradients)); });
    add_update("adam", size, count, [](Buffers& b) { b.adam(1.0); });
    add_update("ema", size, count, [](Buffers& b) { b.average(); });
  }
}

}  // namespace sfumato::bench
