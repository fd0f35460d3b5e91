#include "tensor/backend/fast/conv_algorithm.h"

#include "tensor/backend/fast/winograd.h"
#include "tensor/ops/conv.h"

namespace sfumato::fast {
namespace {

bool is_plain(const Conv2dOptions& o) { return o.stride == 1 && o.groups == 1; }

bool is_pointwise(const Shape& weight, const Conv2dOptions& o) {
  return is_plain(o) && weight[2] == 1 && weight[3] == 1 && o.padding == 0 && o.end() == 0;
}

bool winograd_applies(const Shape& weight, const Conv2dOptions& o) {
  return is_plain(o) && weight[2] == 3 && weight[3] == 3 && o.padding == 1 && o.end() == 1 && o.dilation == 1;
}

WinogradPass winograd_pass(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward: return WinogradPass::forward;
    case ConvPass::backward_input: return WinogradPass::backward_data;
    case ConvPass::backward_weight: break;
  }
  return WinogradPass::backward_weight;
}

}  // namespace

ConvKernel choose_conv_kernel(ConvPass pass, const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  // One product per sample reads and writes NCHW as it lies: no slower than oneDNN's convolution without its reorders.
  if (is_pointwise(weight, options)) {
    return ConvKernel::pointwise;
  }
  if (!winograd_applies(weight, options)) {
    return ConvKernel::direct;
  }
  bool winograd = false;
  switch (conv_algorithm()) {
    case ConvAlgorithm::direct: break;
    case ConvAlgorithm::winograd: winograd = true; break;
    case ConvAlgorithm::auto_:
      winograd = winograd_is_faster({x[0], x[1], weight[0], x[2], x[3]}, winograd_pass(pass));
      break;
  }
  return winograd ? ConvKernel::winograd : ConvKernel::direct;
}

const char* name_of(ConvKernel kernel) {
  switch (kernel) {
    case ConvKernel::direct: return "direct";
    case ConvKernel::pointwise: return "pointwise";
    case ConvKernel::winograd: break;
  }
  return "winograd";
}

}  // namespace sfumato::fast
