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
    case UnaryOp::add:
    case UnaryOp::affine:
    case UnaryOp::ceil:
    case UnaryOp::clamp:
    case UnaryOp::div:
    case UnaryOp::floor:
    case UnaryOp::leaky_relu:
    case UnaryOp::mul:
    case UnaryOp::neg:
    case UnaryOp::relu:
    case UnaryOp::round:
    case UnaryOp::sign:
    case UnaryOp::square:
    case UnaryOp::trunc: return kCheapGrain;
    default: return kCostlyGrain;
  }
}

int64_t grain_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::add:
    case BinaryOp::copysign:
    case BinaryOp::div:
    case BinaryOp::maximum:
    case BinaryOp::minimum:
    case BinaryOp::mul:
    case BinaryOp::sub: return kCheapGrain;
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

// Elements that a bf16 run widens at a time: they stay in the first cache.
constexpr int64_t kBlock = 512;

void widen(const BFloat16* x, int64_t stride, float* wide, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    wide[i] = static_cast<float>(x[i * stride]);
  }
}

void narrow(const float* wide, BFloat16* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    out[i] = BFloat16(wide[i]);
  }
}

}  // namespace

void unary(UnaryOp op, UnaryArgs args, const Tensor& x, Tensor& out) {
  const auto kernel = [op, a = static_cast<float>(args.a), b = static_cast<float>(args.b), run = unary_kernel()](
                          const float* in, int64_t stride, float* to, int64_t n) { run(op, a, b, in, stride, to, n); };
  const ElementwiseIterator iterator(out.shape(), {&out, &x});
  if (x.dtype() == DType::bf16) {
    const BFloat16* in = x.data<BFloat16>();
    BFloat16* to = out.mutable_data<BFloat16>();
    iterator.for_each_run(grain_of(op), [&](const auto& run) {
      float wide[kBlock];
      for (int64_t i = 0; i < run.count; i += kBlock) {
        const int64_t n = std::min(kBlock, run.count - i);
        widen(in + run.offset[1] + i * run.stride[1], run.stride[1], wide, n);
        kernel(wide, 1, wide, n);
        narrow(wide, to + run.offset[0] + i, n);
      }
    });
    return;
  }
  const float* in = x.data<float>();
  float* to = out.mutable_data<float>();
  iterator.for_each_run(
      grain_of(op), [&](const auto& run) { kernel(in + run.offset[1], run.stride[1], to + run.offset[0], run.count); });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, Tensor& out) {
  const auto kernel = binary_kernel();
  const ElementwiseIterator iterator(out.shape(), {&out, &a, &b});
  if (a.dtype() == DType::bf16) {
    const BFloat16* left = a.data<BFloat16>();
    const BFloat16* right = b.data<BFloat16>();
    BFloat16* to = out.mutable_data<BFloat16>();
    iterator.for_each_run(grain_of(op), [&](const auto& run) {
      float wide_left[kBlock], wide_right[kBlock];
      for (int64_t i = 0; i < run.count; i += kBlock) {
        const int64_t n = std::min(kBlock, run.count - i);
        widen(left + run.offset[1] + i * run.stride[1], run.stride[1], wide_left, n);
        widen(right + run.offset[2] + i * run.stride[2], run.stride[2], wide_right, n);
        kernel(op, wide_left, 1, wide_right, 1, wide_left, n);
        narrow(wide_left, to + run.offset[0] + i, n);
      }
    });
    return;
  }
  const float* left = a.data<float>();
  const float* right = b.data<float>();
  float* to = out.mutable_data<float>();
  iterator.for_each_run(grain_of(op), [&](const auto& run) {
    kernel(op, left + run.offset[1], run.stride[1], right + run.offset[2], run.stride[2], to + run.offset[0],
           run.count);
  });
}

}  // namespace sfumato::fast
