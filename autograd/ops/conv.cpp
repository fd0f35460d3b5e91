#include "autograd/ops/conv.h"

#include "autograd/autocast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/join.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/require.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {

Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias, const Conv2dOptions& options) {
  if (runs_low(x, weight, bias)) {
    return conv2d(autocast_low(x), autocast_low(weight), autocast_low(bias), options);
  }
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
  constexpr const char* op = "conv_transpose2d";
  if (runs_low(x, weight, bias)) {
    return conv_transpose2d(autocast_low(x), autocast_low(weight), autocast_low(bias), options);
  }
  require_floats(op, {x, weight});
  const Shape shape = conv_transpose2d_output_shape(x.shape(), weight.shape(), options);
  const Pair2d missing = conv_transpose2d_missing(x.shape(), weight.shape(), options);
  const Variable whole = missing == Pair2d(0) ? x : pad(x, {0, missing.width, 0, missing.height});
  const Variable out = conv2d_backward_input(whole, weight, shape, options.conv());
  if (!bias.defined()) {
    return out;
  }
  require_floats(op, {x, bias});
  check(bias.shape() == Shape{shape[1]}, op, ": bias has shape ", bias.shape(), " but the output ", shape, " has ",
        shape[1], " channels");
  return add(out, reshape(bias, {1, bias.numel(), 1, 1}));
}

namespace {

// A sequence as an image of one row.
Variable as_image(const char* op, const char* name, const Variable& x) {
  check(x.dim() == 3, op, ": ", name, " must have 3 dimensions, got ", x.shape());
  return unsqueeze(x, 2);
}

// Calls f(tap, r, s) for every tap of a kernel and stops nowhere: the order of unfold's rows.
template <class F>
void for_each_tap(const Pair2d& kernel, F&& f) {
  for (int64_t r = 0; r < kernel.height; ++r) {
    for (int64_t s = 0; s < kernel.width; ++s) {
      f(r * kernel.width + s, r, s);
    }
  }
}

// The pixels of a padded image (..., H, W) that tap (r, s) meets: rows and columns with a step.
struct Patch {
  int64_t row, row_end, column, column_end;
  Patch(const Shape& patches, int64_t r, int64_t s, const Conv2dOptions& o)
      : row(r * o.dilation.height),
        row_end(row + (patches[2] - 1) * o.stride.height + 1),
        column(s * o.dilation.width),
        column_end(column + (patches[3] - 1) * o.stride.width + 1) {}
};

// How many patches there are, as conv2d counts its outputs: (N, C, P, Q).
Shape patches_of(const char* op, const Shape& image, const Pair2d& kernel, const Conv2dOptions& o) {
  check_at_least(op, "kernel", 1, kernel);
  check(o.groups == 1, op, ": groups must be 1, got ", o.groups);
  return conv2d_output_shape(image, {image[1], image[1], kernel.height, kernel.width}, o);
}

}  // namespace

Variable conv1d(const Variable& x, const Variable& weight, const Variable& bias, const Conv1dOptions& options) {
  require_floats("conv1d", {x, weight});
  const Conv2dOptions o{.stride = {1, options.stride},
                        .padding = {0, options.padding},
                        .dilation = {1, options.dilation},
                        .groups = options.groups};
  return squeeze(conv2d(as_image("conv1d", "input", x), as_image("conv1d", "weight", weight), bias, o), 2);
}

Variable conv_transpose1d(const Variable& x,
                          const Variable& weight,
                          const Variable& bias,
                          const ConvTranspose1dOptions& options) {
  constexpr const char* op = "conv_transpose1d";
  require_floats(op, {x, weight});
  const ConvTranspose2dOptions o{.stride = {1, options.stride},
                                 .padding = {0, options.padding},
                                 .output_padding = {0, options.output_padding},
                                 .dilation = {1, options.dilation},
                                 .groups = options.groups};
  return squeeze(conv_transpose2d(as_image(op, "input", x), as_image(op, "weight", weight), bias, o), 2);
}

Variable unfold(const Variable& x, const Pair2d& kernel, const Conv2dOptions& options) {
  require_floats("unfold", {x});
  check(x.dim() == 4, "unfold: input must be (N, C, H, W), got ", x.shape());
  const Shape patches = patches_of("unfold", x.shape(), kernel, options);
  const Variable padded =
      pad(x, {options.padding.width, options.end().width, options.padding.height, options.end().height});
  std::vector<Variable> taps;
  for_each_tap(kernel, [&](int64_t, int64_t r, int64_t s) {
    const Patch at(patches, r, s, options);
    taps.push_back(slice(slice(padded, 2, at.row, at.row_end, options.stride.height), 3, at.column, at.column_end,
                         options.stride.width));
  });
  return reshape(stack(taps, 2), {x.size(0), x.size(1) * kernel.height * kernel.width, patches[2] * patches[3]});
}

Variable fold(const Variable& columns, const Pair2d& size, const Pair2d& kernel, const Conv2dOptions& options) {
  require_floats("fold", {columns});
  check_at_least("fold", "kernel", 1, kernel);
  const int64_t area = kernel.height * kernel.width;
  check(columns.dim() == 3 && columns.size(1) % area == 0, "fold: input must be (N, C * ", area, ", L), got ",
        columns.shape());
  const Shape image{columns.size(0), columns.size(1) / area, size.height, size.width};
  const Shape patches = patches_of("fold", image, kernel, options);
  check(columns.size(2) == patches[2] * patches[3], "fold: an image of ", size, " has ", patches[2], " x ", patches[3],
        " patches but the input is ", columns.shape());
  const Variable taps = reshape(columns, {image[0], image[1], area, patches[2], patches[3]});
  const Pair2d begin = options.padding, end = options.end();
  const Shape rows{image[0], image[1], size.height + begin.height + end.height, patches[3]};
  Shape padded = rows;
  padded[3] = size.width + begin.width + end.width;
  Variable sum = zeros(padded, columns.dtype());
  for_each_tap(kernel, [&](int64_t tap, int64_t r, int64_t s) {
    const Patch at(patches, r, s, options);
    const Variable in_rows = slice_backward(select(taps, 2, tap), rows, 2, at.row, at.row_end, options.stride.height);
    sum = add(sum, slice_backward(in_rows, padded, 3, at.column, at.column_end, options.stride.width));
  });
  return pad(sum, {-begin.width, -end.width, -begin.height, -end.height});
}

}  // namespace sfumato
