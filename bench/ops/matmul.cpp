// Matrix products: a square one, and those of the U-Net's attention and linear layers.
#include "tensor/ops/matmul.h"

#include "bench/measure.h"
#include "bench/ops/shapes.h"
#include "bench/registry.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

// (batch, rows, columns), which lies in memory as it says or the other way round.
Tensor operand(int64_t batch, int64_t rows, int64_t columns, bool transposed, const char* purpose) {
  return transposed ? transpose(randn({batch, columns, rows}, purpose), 1, 2) : randn({batch, rows, columns}, purpose);
}

}  // namespace

void register_matmul() {
  for (const MatmulShape& s : matmul_shapes()) {
    add_benchmark("matmul/" + s.name(), benchmark::kMicrosecond, [s](benchmark::State& state) {
      const Tensor a = operand(s.batch, s.m, s.k, s.a_transposed, "a");
      const Tensor b = operand(s.batch, s.k, s.n, s.b_transposed, "b");
      measure(state, [&] { return matmul(a, b); });
    });
  }
}

}  // namespace sfumato::bench
