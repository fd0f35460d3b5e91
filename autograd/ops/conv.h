// Convolutions of Variables; shapes and options as in "tensor/ops/conv.h".
//
//   Variable y = conv2d(x, weight, bias, {.stride = 2, .padding = 1});
//
// The convolution, its input gradient and its weight gradient are each linear in both of their arguments, and each
// one's gradients are the other two: all three are ops, so that derivatives of any order exist.
//
//   y  = conv2d(x, w):             dx  = backward_input(dy, w)    dw = backward_weight(x, dy)
//   u  = backward_input(g, w):     dg  = conv2d(du, w)            dw = backward_weight(du, g)
//   v  = backward_weight(x, g):    dx  = backward_input(g, dv)    dg = conv2d(x, dv)
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/conv.h"

namespace sfumato {

Variable conv2d(const Variable& x,
                const Variable& weight,
                const Variable& bias = {},
                const Conv2dOptions& options = {});
Variable conv2d_backward_input(const Variable& dy,
                               const Variable& weight,
                               const Shape& input_shape,
                               const Conv2dOptions& options = {});
Variable conv2d_backward_weight(const Variable& x,
                                const Variable& dy,
                                const Shape& weight_shape,
                                const Conv2dOptions& options = {});
// x (N, C_in, H, W), weight (C_in, C_out / groups, R, S), bias (C_out) or undefined.
Variable conv_transpose2d(const Variable& x,
                          const Variable& weight,
                          const Variable& bias = {},
                          const ConvTranspose2dOptions& options = {});

// The same on sequences: x (N, C, L), weight (K, C / groups, S) or, transposed, (C_in, C_out / groups, S).
struct Conv1dOptions {
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t dilation = 1;
  int64_t groups = 1;
};
struct ConvTranspose1dOptions {
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t output_padding = 0;
  int64_t dilation = 1;
  int64_t groups = 1;
};
Variable conv1d(const Variable& x,
                const Variable& weight,
                const Variable& bias = {},
                const Conv1dOptions& options = {});
Variable conv_transpose1d(const Variable& x,
                          const Variable& weight,
                          const Variable& bias = {},
                          const ConvTranspose1dOptions& options = {});

// im2col: the R x S patches of every channel as columns, (N, C, H, W) -> (N, C * R * S, P * Q), and its adjoint, which
// adds columns back into an image of size (H, W). `options.groups` must be 1.
Variable unfold(const Variable& x, const Pair2d& kernel, const Conv2dOptions& options = {});
Variable fold(const Variable& columns, const Pair2d& size, const Pair2d& kernel, const Conv2dOptions& options = {});

}  // namespace sfumato
