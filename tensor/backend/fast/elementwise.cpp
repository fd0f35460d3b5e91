// Fast elementwise ops: the broadcasting iterator hands out runs, an ISA kernel computes each.
#include "tensor/backend/backend.h"
#include "tensor/backend/fast/elementwise_kernels.h"
#include "tensor/backend/fast/isa.h"
#include "tensor/iterator.h"

namespace sfumato::fast {
namespace {

// Elements below which a second thread does not pay: a parallel region costs about a microsecond.
constexpr int64_t kCheapGrain = 1 << 15;   // memory-bound arithmetic
constexpr int64_t kCostlyGrain = 1 << 12;  // exponentials and the like

int64_t grain_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::abs:
    case UnaryOp::affine:
    case UnaryOp::ceil:
    case UnaryOp::clamp:
    case UnaryOp::floor:
    case UnaryOp::leaky_relu:
    case UnaryOp::neg:
    case UnaryOp::relu:
    case UnaryOp::round:
    case UnaryOp::sign:
    case UnaryOp::square: return kCheapGrain;
    default: return kCostlyGrain;
  }
}

auto* unary_kernel() {
  switch (isa()) {
    case Isa::avx512: return &avx512::unary_run;
    case Isa::avx2: return &avx2::unary_run;
    case Isa::baseline: break;
  }
  return &baseline::unary_run;
}

auto* binary_kernel() {
  switch (isa()) {
    case Isa::avx512: return &avx512::binary_run;
    case Isa::avx2: return &avx2::binary_run;
    case Isa::baseline: break;
  }
  return &baseline::binary_run;
}

}  // namespace

void unary(UnaryOp op, UnaryArgs args, const Tensor& x, Tensor& out) {
  const auto kernel = unary_kernel();
  const float* in = x.data<float>();
  float* to = out.mutable_data<float>();
  ElementwiseIterator(out.shape(), {&out, &x}).for_each_run(grain_of(op), [&](const auto& run) {
    kernel(op, static_cast<float>(args.a), static_cast<float>(args.b), in + run.offset[1], run.stride[1],
           to + run.offset[0], run.count);
  });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  const auto kernel = binary_kernel();
  const float* left = a.data<float>();
  const float* right = b.data<float>();
  float* to = out.mutable_data<float>();
  const int64_t grain = op == BinaryOp::silu_backward ? kCostlyGrain : kCheapGrain;
  ElementwiseIterator(out.shape(), {&out, &a, &b}).for_each_run(grain, [&](const auto& run) {
    kernel(op, left + run.offset[1], run.stride[1], right + run.offset[2], run.stride[2], to + run.offset[0],
           run.count);
  });
}

}  // namespace sfumato::fast
