// Matrix products by oneDNN alone, from and to plain memory; the operands' layouts are described by their strides.
#include "bench/measure.h"
#include "bench/ops/shapes.h"
#include "bench/peers/onednn_run.h"
#include "bench/registry.h"

namespace sfumato::bench {
namespace {

using dnnl::memory;

// (batch, rows, columns), which lies in memory as it says or the other way round.
memory::desc matrices(int64_t batch, int64_t rows, int64_t columns, bool transposed) {
  return {{batch, rows, columns},
          memory::data_type::f32,
          transposed ? memory::dims{rows * columns, 1, rows} : memory::dims{rows * columns, columns, 1}};
}

PlainRun product(const MatmulShape& s) {
  const memory::desc a = matrices(s.batch, s.m, s.k, s.a_transposed);
  const memory::desc b = matrices(s.batch, s.k, s.n, s.b_transposed);
  const memory::desc c = matrices(s.batch, s.m, s.n, false);
  const auto chosen = onednn::describe<dnnl::matmul>(peer_engine(), peer_attributes(), a, b, c);
  return {dnnl::matmul(chosen),
          {{DNNL_ARG_SRC, a, a, false}, {DNNL_ARG_WEIGHTS, b, b, false}, {DNNL_ARG_DST, c, c, true}}};
}

}  // namespace

void register_onednn_matmul() {
  for (const MatmulShape& shape : matmul_shapes()) {
    add_benchmark("peer/onednn/matmul/" + shape.name(), benchmark::kMicrosecond, [shape](benchmark::State& state) {
      PlainRun run = product(shape);
      run();
      measure_rates(state, work_of(shape.flops(), shape.bytes()), run);
    });
  }
}

}  // namespace sfumato::bench
