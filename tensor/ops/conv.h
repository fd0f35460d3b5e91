// 2-D convolution (cross-correlation, as everywhere in deep learning), its two gradients, and their algorithms.
//
//   Tensor y = conv2d(x, weight, bias, {.stride = 2, .padding = 1});
//
// y[n, k, p, q] = bias[k] + sum_{c, r, s} x[n, c, p*stride - padding + r*dilation, q*stride - ...] * weight[k, c, r, s]
// with zeros outside x; stride, padding and dilation are one number or (height, width). x (N, C, H, W), weight (K,
// C/groups, R, S), bias (K) or undefined, y (N, K, P, Q), P = (H + padding + end() - dilation*(R-1) - 1) / stride + 1.
// All arguments have one dtype, f32, f64 or bf16 (computed in f32 and rounded once).
#pragma once

#include "tensor/backend/backend.h"

namespace sfumato {

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, const Conv2dOptions& options = {});
// The gradient for x of shape `input_shape`: also the forward pass of a transposed convolution.
Tensor conv2d_backward_input(const Tensor& dy,
                             const Tensor& weight,
                             const Shape& input_shape,
                             const Conv2dOptions& options = {});
Tensor conv2d_backward_weight(const Tensor& x,
                              const Tensor& dy,
                              const Shape& weight_shape,
                              const Conv2dOptions& options = {});

// `options` with PyTorch's padding="same": with stride 1 the output has the input's size. An odd pixel of padding goes
// to the bottom and the right. Throws unless the stride is 1.
Conv2dOptions same_padding(const Pair2d& kernel, const Conv2dOptions& options = {});

// (N, K, P, Q) of conv2d; throws with every rule that the shapes break.
Shape conv2d_output_shape(const Shape& x, const Shape& weight, const Conv2dOptions& options);

// The transposed convolution: conv2d_backward_input under the name that networks use it by, plus a bias (C_out).
struct ConvTranspose2dOptions {
  Pair2d stride = 1;
  Pair2d padding = 0;         // cut from every edge of the output
  Pair2d output_padding = 0;  // added at the bottom and right edge, below stride or below dilation
  Pair2d dilation = 1;
  int64_t groups = 1;
  // The convolution whose input gradient this is.
  Conv2dOptions conv() const { return {.stride = stride, .padding = padding, .dilation = dilation, .groups = groups}; }
};

// x (N, C_in, H, W), weight (C_in, C_out / groups, R, S), bias (C_out) or undefined; the result is (N, C_out, H', W')
// with H' = (H - 1) * stride - 2 * padding + dilation * (R - 1) + output_padding + 1.
Tensor conv_transpose2d(const Tensor& x,
                        const Tensor& weight,
                        const Tensor& bias = {},
                        const ConvTranspose2dOptions& options = {});
// Zero rows and columns that x needs at its end before it is the output of options.conv() on that shape: none unless
// output_padding reaches the stride.
Pair2d conv_transpose2d_missing(const Shape& x, const Shape& weight, const ConvTranspose2dOptions& options);
Shape conv_transpose2d_output_shape(const Shape& x, const Shape& weight, const ConvTranspose2dOptions& options);

// Which algorithm the fast backend uses for 3x3 stride-1 convolutions: a fixed rule of the shape (auto_), or one of the
// two everywhere that it applies. Per process; for tests and measurements. SFUMATO_CONV=auto|direct|winograd sets it
// too.
enum class ConvAlgorithm { auto_, direct, winograd };
void set_conv_algorithm(ConvAlgorithm algorithm);
ConvAlgorithm conv_algorithm();

}  // namespace sfumato
