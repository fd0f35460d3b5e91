// Fast group norm and softmax: shares groups or rows among the threads; norm.isa.cpp computes them.
#include "tensor/backend/backend.h"
#include "tensor/backend/fast/isa.h"
#include "tensor/backend/fast/norm_kernels.h"
#include "tensor/parallel.h"

namespace sfumato::fast {
namespace {

constexpr int64_t kGrain = 1 << 13;  // elements below which a second thread does not pay

struct Kernels {
  decltype(&baseline::group_norm) group_norm;
  decltype(&baseline::group_norm_backward) group_norm_backward;
  decltype(&baseline::softmax_rows) softmax;
  decltype(&baseline::softmax_backward_rows) softmax_backward;
};

Kernels kernels() {
  switch (isa()) {
    case Isa::avx512:
      return {&avx512::group_norm, &avx512::group_norm_backward, &avx512::softmax_rows, &avx512::softmax_backward_rows};
    case Isa::avx2:
      return {&avx2::group_norm, &avx2::group_norm_backward, &avx2::softmax_rows, &avx2::softmax_backward_rows};
    case Isa::baseline: break;
  }
  return {&baseline::group_norm, &baseline::group_norm_backward, &baseline::softmax_rows,
          &baseline::softmax_backward_rows};
}

int64_t grain_for(int64_t elements_each) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(elements_each, 1)); }

const float* data_or_null(const Tensor& tensor) { return tensor.defined() ? tensor.data<float>() : nullptr; }

GroupNormCall call_for(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& o) {
  GroupNormCall call{};
  call.channels = x.size(1);
  call.groups = o.num_groups;
  call.plane = 1;
  for (int d = 2; d < x.dim(); ++d) {
    call.plane *= x.shape()[d];
  }
  call.eps = static_cast<float>(o.eps);
  call.silu = o.silu;
  call.x = x.data<float>();
  call.weight = data_or_null(weight);
  call.bias = data_or_null(bias);
  return call;
}

// out[c] = sum over the samples, in order, of parts[n][c].
void sum_samples(const Tensor& parts, Tensor& out) {
  const int64_t samples = parts.size(0);
  const int64_t channels = parts.size(1);
  const double* from = parts.data<double>();
  float* to = out.mutable_data<float>();
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0;
    for (int64_t n = 0; n < samples; ++n) {
      total += from[n * channels + c];
    }
    to[c] = static_cast<float>(total);
  }
}

}  // namespace

void group_norm(const Tensor& x,
                const Tensor& weight,
                const Tensor& bias,
                const GroupNormOptions& o,
                Tensor& out,
                Tensor& mean,
                Tensor& rstd) {
  GroupNormCall call = call_for(x, weight, bias, o);
  call.mean = mean.mutable_data<float>();
  call.rstd = rstd.mutable_data<float>();
  call.out = out.mutable_data<float>();
  const auto kernel = kernels().group_norm;
  parallel_for(x.size(0) * call.groups, grain_for(call.channels / call.groups * call.plane),
               [&](int64_t begin, int64_t end) { kernel(call, begin, end); });
}

void group_norm_backward(const Tensor& dy,
                         const Tensor& x,
                         const Tensor& mean,
                         const Tensor& rstd,
                         const Tensor& weight,
                         const Tensor& bias,
                         const GroupNormOptions& o,
                         Tensor& dx,
                         Tensor& dweight,
                         Tensor& dbias) {
  GroupNormCall call = call_for(x, weight, bias, o);
  call.mean = const_cast<float*>(mean.data<float>());
  call.rstd = const_cast<float*>(rstd.data<float>());
  call.dy = dy.data<float>();
  call.dx = dx.mutable_data<float>();
  Tensor weight_parts = Tensor::empty({x.size(0), call.channels}, DType::f64);
  Tensor bias_parts = Tensor::empty({x.size(0), call.channels}, DType::f64);
  call.dweight = weight_parts.mutable_data<double>();
  call.dbias = bias_parts.mutable_data<double>();
  const auto kernel = kernels().group_norm_backward;
  parallel_for(x.size(0) * call.groups, grain_for(call.channels / call.groups * call.plane),
               [&](int64_t begin, int64_t end) { kernel(call, begin, end); });
  if (dweight.defined()) {
    sum_samples(weight_parts, dweight);
  }
  if (dbias.defined()) {
    sum_samples(bias_parts, dbias);
  }
}

void softmax(const Tensor& x, Tensor& out) {
  const int64_t n = x.size(-1);
  if (x.numel() == 0) {
    return;
  }
  const float* from = x.data<float>();
  float* to = out.mutable_data<float>();
  const auto kernel = kernels().softmax;
  parallel_for(x.numel() / n, grain_for(n),
               [&](int64_t begin, int64_t end) { kernel(from + begin * n, to + begin * n, end - begin, n); });
}

void softmax_backward(const Tensor& y, const Tensor& dy, Tensor& dx) {
  const int64_t n = y.size(-1);
  if (y.numel() == 0) {
    return;
  }
  const float* result = y.data<float>();
  const float* gradient = dy.data<float>();
  float* to = dx.mutable_data<float>();
  const auto kernel = kernels().softmax_backward;
  parallel_for(y.numel() / n, grain_for(n), [&](int64_t begin, int64_t end) {
    kernel(result + begin * n, gradient + begin * n, to + begin * n, end - begin, n);
  });
}

}  // namespace sfumato::fast
