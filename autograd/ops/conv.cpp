#include "autograd/ops/conv.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2dOptions& options) {
  const Tensor out = conv2d(x.tensor(), weight.tensor(), bias.defined() ? bias.tensor() : Tensor(), options);
  return record("conv2d", out,
                wrt(x, [w = save(weight), shape = x.shape(),
                        options](const Variable& g) { return conv2d_backward_input(g, w(), shape, options); }),
                wrt(weight, [x = save(x), shape = weight.shape(),
                             options](const Variable& g) { return conv2d_backward_weight(x(), g, shape, options); }),
                wrt(bias, [](const Variable& g) {
                  return sum(g, {0, 2, 3});
                }));
}

Variable conv2d_backward_input(const Variable& dy,
                               const Variable& weight,
                               const Shape& input_shape,
                               const Conv2dOptions& options) {
  return record("conv2d_backward_input", conv2d_backward_input(dy.tensor(), weight.tensor(), input_shape, options),
                wrt(dy, [w = save(weight), options](const Variable& g) { return conv2d(g, w(), {}, options); }),
                wrt(weight, [dy = save(dy), shape = weight.shape(), options](const Variable& g) {
                  return conv2d_backward_weight(g, dy(), shape, options);
                }));
}

Variable conv2d_backward_weight(const Variable& x,
                                const Variable& dy,
                                const Shape& weight_shape,
                                const Conv2dOptions& options) {
  return record("conv2d_backward_weight", conv2d_backward_weight(x.tensor(), dy.tensor(), weight_shape, options),
                wrt(x, [dy = save(dy), shape = x.shape(),
                        options](const Variable& g) { return conv2d_backward_input(dy(), g, shape, options); }),
                wrt(dy, [x = save(x), options](const Variable& g) { return conv2d(x(), g, {}, options); }));
}

Variable conv_transpose2d(const Variable& x,
                          const Variable& weight,
                          const Variable& bias,
                          const ConvTranspose2dOptions& options) {
  const Shape shape = conv_transpose2d_output_shape(x.shape(), weight.shape(), options);
  const Variable out = conv2d_backward_input(x, weight, shape, options.conv());
  return bias.defined() ? add(out, reshape(bias, {1, bias.numel(), 1, 1})) : out;
}

}  // namespace sfumato
