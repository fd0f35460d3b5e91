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

}  // namespace sfumato
