// Convolutions of the fast backend: hands each one to the kernel that conv_algorithm.h names for it.
#include <algorithm>

#include "tensor/backend/backend.h"
#include "tensor/backend/fast/conv_algorithm.h"
#include "tensor/backend/fast/winograd.h"
#include "tensor/backend/onednn/conv.h"
#include "tensor/backend/workspace.h"

namespace sfumato::fast {
namespace {

WinogradShape winograd_shape(const Shape& x, const Shape& weight) { return {x[0], x[1], weight[0], x[2], x[3]}; }

// Images as (N, C, H*W) and a 1x1 weight as (N, K, C), the same for every sample.
Tensor pixels(const Tensor& x) {
  const int64_t area = x.size(2) * x.size(3);
  return x.as_strided({x.size(0), x.size(1), area}, {x.size(1) * area, area, 1}, x.storage_offset());
}
Tensor repeated_weight(const Tensor& weight, int64_t batch) {
  return weight.as_strided({batch, weight.size(0), weight.size(1)}, {0, weight.size(1), 1}, weight.storage_offset());
}
Tensor transposed(const Tensor& x) {
  return x.as_strided({x.size(0), x.size(2), x.size(1)}, {x.stride(0), x.stride(2), x.stride(1)}, x.storage_offset());
}

void add_bias(const Tensor& bias, Tensor& out) {
  const Tensor broadcast = bias.as_strided(out.shape(), {0, bias.stride(0), 0, 0}, bias.storage_offset());
  binary(BinaryOp::add, out, broadcast, out);
}

void pointwise_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& out) {
  Tensor flat = pixels(out);
  matmul(repeated_weight(weight, x.size(0)), pixels(x), flat);
  if (bias.defined()) {
    add_bias(bias, out);
  }
}

void pointwise_backward_input(const Tensor& dy, const Tensor& weight, Tensor& dx) {
  Tensor flat = pixels(dx);
  matmul(transposed(repeated_weight(weight, dy.size(0))), pixels(dy), flat);
}

void pointwise_backward_weight(const Tensor& x, const Tensor& dy, Tensor& dweight) {
  const int64_t batch = x.size(0), inputs = x.size(1), outputs = dy.size(1);
  Tensor per_sample = Tensor::empty({batch, outputs, inputs});
  matmul(pixels(dy), transposed(pixels(x)), per_sample);
  Tensor sum = dweight.as_strided({1, outputs, inputs}, {outputs * inputs, inputs, 1}, dweight.storage_offset());
  reduce(ReduceOp::sum, per_sample, /*dim_mask=*/1, sum);
}

void fill(Tensor& out, float value) { std::fill_n(out.mutable_data<float>(), out.numel(), value); }

}  // namespace

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o, Tensor& out) {
  if (out.numel() == 0) {
    return;
  }
  if (x.numel() == 0 || weight.numel() == 0) {  // an empty sum, which oneDNN does not know
    fill(out, 0);
    if (bias.defined()) {
      add_bias(bias, out);
    }
    return;
  }
  switch (choose_conv_kernel(ConvPass::forward, x.shape(), weight.shape(), o)) {
    case ConvKernel::direct: onednn::conv2d(x, weight, bias, o, out); return;
    case ConvKernel::pointwise: pointwise_forward(x, weight, bias, out); return;
    case ConvKernel::winograd: {
      const WinogradShape shape = winograd_shape(x.shape(), weight.shape());
      const Workspace scratch(winograd_workspace_bytes(shape, WinogradPass::forward));
      winograd_forward(shape, x.data<float>(), weight.data<float>(), bias.defined() ? bias.data<float>() : nullptr,
                       out.mutable_data<float>(), scratch.data());
      return;
    }
  }
}

void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Conv2dOptions& o, Tensor& dx) {
  if (dx.numel() == 0) {
    return;
  }
  if (dy.numel() == 0 || weight.numel() == 0) {
    fill(dx, 0);
    return;
  }
  switch (choose_conv_kernel(ConvPass::backward_input, dx.shape(), weight.shape(), o)) {
    case ConvKernel::direct: onednn::conv2d_backward_input(dy, weight, o, dx); return;
    case ConvKernel::pointwise: pointwise_backward_input(dy, weight, dx); return;
    case ConvKernel::winograd: {
      const WinogradShape shape = winograd_shape(dx.shape(), weight.shape());
      const Workspace scratch(winograd_workspace_bytes(shape, WinogradPass::backward_data));
      winograd_backward_data(shape, dy.data<float>(), weight.data<float>(), dx.mutable_data<float>(), scratch.data());
      return;
    }
  }
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Conv2dOptions& o, Tensor& dweight) {
  if (dweight.numel() == 0) {
    return;
  }
  if (x.numel() == 0 || dy.numel() == 0) {
    fill(dweight, 0);
    return;
  }
  switch (choose_conv_kernel(ConvPass::backward_weight, x.shape(), dweight.shape(), o)) {
    case ConvKernel::direct: onednn::conv2d_backward_weight(x, dy, o, dweight); return;
    case ConvKernel::pointwise: pointwise_backward_weight(x, dy, dweight); return;
    case ConvKernel::winograd: {
      const WinogradShape shape = winograd_shape(x.shape(), dweight.shape());
      const Workspace scratch(winograd_workspace_bytes(shape, WinogradPass::backward_weight));
      winograd_backward_weight(shape, x.data<float>(), dy.data<float>(), dweight.mutable_data<float>(), scratch.data());
      return;
    }
  }
}

}  // namespace sfumato::fast
