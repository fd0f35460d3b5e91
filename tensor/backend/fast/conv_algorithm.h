// The one place that decides how the fast backend computes a convolution: a fixed rule of the shape, never a timing,
// so that a run's bits do not depend on how busy the machine was.
//
//   switch (choose_conv_kernel(ConvPass::forward, x.shape(), weight.shape(), options)) { ... }
#pragma once

#include "tensor/backend/backend.h"

namespace sfumato::fast {

enum class ConvPass { forward, backward_input, backward_weight };

enum class ConvKernel {
  direct,     // oneDNN, any convolution
  pointwise,  // 1x1 taps: a batch of matrix products on NCHW as it lies
  winograd,   // 3x3 taps: our F(4x4, 3x3) kernel, on NCHW as it lies
};

// `x` is the input's shape and `weight` the weight's in every pass. conv_algorithm() (ops/conv.h) overrides the rule
// where Winograd applies.
ConvKernel choose_conv_kernel(ConvPass pass, const Shape& x, const Shape& weight, const Conv2dOptions& options);
// "direct", "pointwise" or "winograd".
const char* name_of(ConvKernel kernel);

}  // namespace sfumato::fast
