// What a call costs when there is nothing to compute: ops on a few elements, the tape, views, allocation, threads.
#include <benchmark/benchmark.h>

#include "autograd/variable.h"
#include "bench/measure.h"
#include "bench/registry.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

// No roofline and no peak here: only the time counts.
template <class F>
void add_overhead(const std::string& what, F f) {
  add_benchmark("overhead/" + what, benchmark::kNanosecond, [f](benchmark::State& state) mutable {
    for (auto _ : state) {
      f();
    }
  });
}

void register_tensor_overheads() {
  const Tensor one = full({1}, 1.0), two = full({1}, 2.0), matrix = full({4, 4}, 1.0);
  const Tensor a = full({16}, 1.0), b = full({16}, 2.0);
  add_overhead("allocate_16", [] { return Tensor::empty({16}); });
  add_overhead("allocate_4M", [] { return Tensor::empty({1 << 22}); });
  add_overhead("reshape", [=] { return reshape(matrix, {16}); });
  add_overhead("slice", [=] { return slice(matrix, 0, 1, 3); });
  add_overhead("add_1", [=] { return one + two; });
  add_overhead("add_16", [=] { return a + b; });
  add_overhead("add_strided_16", [=] { return transpose(matrix, 0, 1) + matrix; });
  add_overhead("parallel_region", [] {
    parallel_for(num_threads(), 1, [](int64_t begin, int64_t end) { benchmark::DoNotOptimize(end - begin); });
  });
}

void register_tape_overheads() {
  const Variable constant(full({16}, 1.0));
  Variable w(full({16}, 2.0), true), b(full({16}, 3.0), true);
  add_overhead("variable_add", [=] { return constant + constant; });  // nothing to record
  add_overhead("record_add", [=] { return w + b; });
  add_overhead("add_backward", [=]() mutable {
    w.zero_grad();
    b.zero_grad();
    (w + b).backward(constant);
  });
  add_overhead("chain_forward", [=] { return sum(relu(constant * w + b)); });
  add_overhead("chain_forward_backward", [=]() mutable {
    w.zero_grad();
    b.zero_grad();
    sum(relu(constant * w + b)).backward();
  });
}

}  // namespace

void register_overhead() {
  register_tensor_overheads();
  register_tape_overheads();
}

}  // namespace sfumato::bench
