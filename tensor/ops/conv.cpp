#include "tensor/ops/conv.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "tensor/backend/fast/conv_algorithm.h"
#include "tensor/cost.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/join.h"
#include "tensor/ops/widened.h"

namespace sfumato {
namespace {

// What the options say about one axis.
struct Axis {
  const char* name;
  int64_t stride, padding, end, dilation;
};
Axis height_of(const Conv2dOptions& o) {
  return {"height", o.stride.height, o.padding.height, o.end().height, o.dilation.height};
}
Axis width_of(const Conv2dOptions& o) {
  return {"width", o.stride.width, o.padding.width, o.end().width, o.dilation.width};
}

// Outputs along one axis, at least 1.
int64_t output_size(const char* op, const Axis& axis, int64_t input, int64_t taps) {
  const int64_t reach = axis.dilation * (taps - 1) + 1;
  const int64_t padded = input + axis.padding + axis.end;
  check(padded >= reach, op, ": the kernel reaches over ", reach, " pixels in ", axis.name, " (", taps,
        " taps, dilation ", axis.dilation, ") but the padded input has ", padded, " (", input, " + ", axis.padding,
        " + ", axis.end, ")");
  return (padded - reach) / axis.stride + 1;
}

void check_options(const char* op, const Conv2dOptions& o) {
  check_at_least(op, "stride", 1, o.stride);
  check_at_least(op, "dilation", 1, o.dilation);
  check_at_least(op, "padding", 0, o.padding);
  check(o.groups >= 1, op, ": groups must be at least 1, got ", o.groups);
}

void check_same_dtype(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  check(a.defined() && b.defined(), op, ": ", a.defined() ? b_name : a_name, " is undefined");
  check_dtype(op, kFloats, a.dtype());
  check(a.dtype() == b.dtype(), op, ": ", a_name, " is ", a.dtype(), " but ", b_name, " is ", b.dtype());
}

Shape output_shape(const char* op, const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  check_options(op, options);
  check(x.rank() == 4, op, ": input must be (N, C, H, W), got ", x);
  check(weight.rank() == 4, op, ": weight must be (K, C / groups, R, S), got ", weight);
  check(weight[2] >= 1 && weight[3] >= 1, op, ": weight ", weight, " has no taps");
  check(x[1] == weight[1] * options.groups, op, ": input has ", x[1], " channels but weight ", weight, " in ",
        options.groups, " groups expects ", weight[1] * options.groups);
  check(weight[0] % options.groups == 0, op, ": ", weight[0], " output channels of weight ", weight,
        " do not divide into ", options.groups, " groups");
  return {x[0], weight[0], output_size(op, height_of(options), x[2], weight[2]),
          output_size(op, width_of(options), x[3], weight[3])};
}

bool in_bf16(const Tensor& x) { return x.dtype() == DType::bf16; }

void check_output_gradient(
    const char* op, const Shape& dy, const Shape& x, const Shape& weight, const Conv2dOptions& o) {
  const Shape expected = output_shape(op, x, weight, o);
  check(dy == expected, op, ": dy has shape ", dy, " but input ", x, " and weight ", weight, " give an output of ",
        expected);
}

ConvAlgorithm algorithm_from_environment() {
  const char* text = std::getenv("SFUMATO_CONV");
  const std::string_view wanted = text != nullptr ? text : "";
  check(wanted.empty() || wanted == "auto" || wanted == "direct" || wanted == "winograd",
        "SFUMATO_CONV: expected 'auto', 'direct' or 'winograd', got '", wanted, "'");
  return wanted == "direct"     ? ConvAlgorithm::direct
         : wanted == "winograd" ? ConvAlgorithm::winograd
                                : ConvAlgorithm::auto_;
}

std::atomic<ConvAlgorithm>& chosen_algorithm() {
  static std::atomic<ConvAlgorithm> chosen = algorithm_from_environment();
  return chosen;
}

using fast::ConvPass;

const char* kernel_name([[maybe_unused]] ConvPass pass,
                        [[maybe_unused]] const Tensor& x,
                        [[maybe_unused]] const Tensor& weight,
                        [[maybe_unused]] const Conv2dOptions& options) {
#ifdef SFUMATO_FAST
  if (backend() == Backend::fast && x.dtype() == DType::f32) {
    return fast::name_of(fast::choose_conv_kernel(pass, x.shape(), weight.shape(), options));
  }
#endif
  return "reference";
}

// Tells what one pass costs: a multiply-add per output pixel, output channel and tap of its inputs.
void report_conv(const char* op,
                 ConvPass pass,
                 const Tensor& x,
                 const Tensor& weight,
                 const Tensor& y,
                 const Conv2dOptions& options) {
  if (detail::cost_listener != nullptr) {
    const auto taps = static_cast<double>(weight.size(1) * weight.size(2) * weight.size(3));
    report_cost(op, {&x, &weight, &y}, 2.0 * static_cast<double>(y.numel()) * taps,
                kernel_name(pass, x, weight, options));
  }
}

}  // namespace

Shape conv2d_output_shape(const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  return output_shape("conv2d", x, weight, options);
}

Conv2dOptions same_padding(const Pair2d& kernel, const Conv2dOptions& options) {
  check(options.stride == Pair2d(1), "same_padding: stride must be 1, got ", options.stride);
  check_at_least("same_padding", "kernel", 1, kernel);
  const int64_t rows = options.dilation.height * (kernel.height - 1);
  const int64_t columns = options.dilation.width * (kernel.width - 1);
  Conv2dOptions same = options;
  same.padding = {rows / 2, columns / 2};
  same.padding_end = {rows - rows / 2, columns - columns / 2};
  return same;
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  check_same_dtype("conv2d", "input", x, "weight", weight);
  Tensor out = Tensor::empty(conv2d_output_shape(x.shape(), weight.shape(), options), x.dtype());
  Tensor plain_bias;
  if (bias.defined()) {
    check_same_dtype("conv2d", "input", x, "bias", bias);
    check(bias.shape() == Shape{weight.size(0)}, "conv2d: bias has shape ", bias.shape(), " but weight ",
          weight.shape(), " has ", weight.size(0), " output channels");
    plain_bias = bias.contiguous();
  }
  if (in_bf16(x)) {
    return conv2d(widened(x), widened(weight), widened(bias), options).to(DType::bf16);
  }
  const Tensor plain_x = x.contiguous(), plain_weight = weight.contiguous();
  report_conv("conv2d", ConvPass::forward, x, weight, out, options);
  use_fast(x.dtype()) ? fast::conv2d(plain_x, plain_weight, plain_bias, options, out)
                      : reference::conv2d(plain_x, plain_weight, plain_bias, options, out);
  return out;
}

Tensor conv2d_backward_input(const Tensor& dy,
                             const Tensor& weight,
                             const Shape& input_shape,
                             const Conv2dOptions& options) {
  check_same_dtype("conv2d_backward_input", "dy", dy, "weight", weight);
  check_output_gradient("conv2d_backward_input", dy.shape(), input_shape, weight.shape(), options);
  if (in_bf16(dy)) {
    return conv2d_backward_input(widened(dy), widened(weight), input_shape, options).to(DType::bf16);
  }
  Tensor dx = Tensor::empty(input_shape, dy.dtype());
  const Tensor plain_dy = dy.contiguous(), plain_weight = weight.contiguous();
  report_conv("conv2d_backward_input", ConvPass::backward_input, dx, weight, dy, options);
  use_fast(dy.dtype()) ? fast::conv2d_backward_input(plain_dy, plain_weight, options, dx)
                       : reference::conv2d_backward_input(plain_dy, plain_weight, options, dx);
  return dx;
}

Tensor conv2d_backward_weight(const Tensor& x,
                              const Tensor& dy,
                              const Shape& weight_shape,
                              const Conv2dOptions& options) {
  check_same_dtype("conv2d_backward_weight", "input", x, "dy", dy);
  check_output_gradient("conv2d_backward_weight", dy.shape(), x.shape(), weight_shape, options);
  if (in_bf16(x)) {
    return conv2d_backward_weight(widened(x), widened(dy), weight_shape, options).to(DType::bf16);
  }
  Tensor dweight = Tensor::empty(weight_shape, x.dtype());
  const Tensor plain_x = x.contiguous(), plain_dy = dy.contiguous();
  report_conv("conv2d_backward_weight", ConvPass::backward_weight, x, dweight, dy, options);
  use_fast(x.dtype()) ? fast::conv2d_backward_weight(plain_x, plain_dy, options, dweight)
                      : reference::conv2d_backward_weight(plain_x, plain_dy, options, dweight);
  return dweight;
}

Shape conv_transpose2d_output_shape(const Shape& x, const Shape& weight, const ConvTranspose2dOptions& options) {
  constexpr const char* op = "conv_transpose2d";
  const Conv2dOptions forward = options.conv();
  check_options(op, forward);
  check(x.rank() == 4, op, ": input must be (N, C_in, H, W), got ", x);
  check(weight.rank() == 4, op, ": weight must be (C_in, C_out / groups, R, S), got ", weight);
  check(weight[2] >= 1 && weight[3] >= 1, op, ": weight ", weight, " has no taps");
  check(x[1] == weight[0], op, ": input has ", x[1], " channels but weight ", weight, " expects ", weight[0]);
  check(x[1] % options.groups == 0, op, ": ", x[1], " channels do not divide into ", options.groups, " groups");
  const auto size = [&](const Axis& axis, int64_t inputs, int64_t taps, int64_t extra) {
    check(extra >= 0 && extra < std::max(axis.stride, axis.dilation), op,
          ": output_padding must be in 0..stride-1 or 0..dilation-1, got ", options.output_padding, " with stride ",
          options.stride, " and dilation ", options.dilation);
    return (inputs - 1) * axis.stride - 2 * axis.padding + axis.dilation * (taps - 1) + 1 + extra;
  };
  const Shape out{x[0], weight[1] * options.groups,
                  size(height_of(forward), x[2], weight[2], options.output_padding.height),
                  size(width_of(forward), x[3], weight[3], options.output_padding.width)};
  check(x[2] >= 1 && x[3] >= 1 && out[2] >= 1 && out[3] >= 1, op, ": input ", x, ", weight ", weight, " and padding ",
        options.padding, " leave an output of ", out);
  return out;
}

Pair2d conv_transpose2d_missing(const Shape& x, const Shape& weight, const ConvTranspose2dOptions& options) {
  const Shape y = conv2d_output_shape(conv_transpose2d_output_shape(x, weight, options), weight, options.conv());
  return {y[2] - x[2], y[3] - x[3]};
}

Tensor conv_transpose2d(const Tensor& x,
                        const Tensor& weight,
                        const Tensor& bias,
                        const ConvTranspose2dOptions& options) {
  check_same_dtype("conv_transpose2d", "input", x, "weight", weight);
  const Shape shape = conv_transpose2d_output_shape(x.shape(), weight.shape(), options);
  const Pair2d missing = conv_transpose2d_missing(x.shape(), weight.shape(), options);
  const Tensor whole = missing == Pair2d(0) ? x : pad(x, {0, missing.width, 0, missing.height});
  const Tensor out = conv2d_backward_input(whole, weight, shape, options.conv());
  if (!bias.defined()) {
    return out;
  }
  check_same_dtype("conv_transpose2d", "input", x, "bias", bias);
  check(bias.shape() == Shape{shape[1]}, "conv_transpose2d: bias has shape ", bias.shape(), " but the output ", shape,
        " has ", shape[1], " channels");
  return add(out, bias.reshape({1, bias.numel(), 1, 1}));
}

void set_conv_algorithm(ConvAlgorithm algorithm) { chosen_algorithm() = algorithm; }
ConvAlgorithm conv_algorithm() { return chosen_algorithm().load(std::memory_order_relaxed); }

}  // namespace sfumato
