#include "tensor/ops/conv.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "tensor/backend/fast/conv_algorithm.h"
#include "tensor/cost.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {
namespace {

// Outputs along one axis, at least 1.
int64_t output_size(const char* axis, int64_t input, int64_t taps, const Conv2dOptions& o) {
  const int64_t reach = o.dilation * (taps - 1) + 1;
  const int64_t padded = input + o.padding + o.end();
  check(padded >= reach, "conv2d: the kernel reaches over ", reach, " pixels in ", axis, " (", taps, " taps, dilation ",
        o.dilation, ") but the padded input has ", padded, " (", input, " + ", o.padding, " + ", o.end(), ")");
  return (padded - reach) / o.stride + 1;
}

void check_options(const Conv2dOptions& o) {
  check(o.stride >= 1, "conv2d: stride must be at least 1, got ", o.stride);
  check(o.dilation >= 1, "conv2d: dilation must be at least 1, got ", o.dilation);
  check(o.padding >= 0, "conv2d: padding must not be negative, got ", o.padding);
  check(o.groups >= 1, "conv2d: groups must be at least 1, got ", o.groups);
}

void check_same_dtype(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  check(a.defined() && b.defined(), op, ": ", a.defined() ? b_name : a_name, " is undefined");
  check(a.dtype() == b.dtype(), op, ": ", a_name, " is ", a.dtype(), " but ", b_name, " is ", b.dtype());
}

void check_output_gradient(
    const char* op, const Shape& dy, const Shape& x, const Shape& weight, const Conv2dOptions& o) {
  const Shape expected = conv2d_output_shape(x, weight, o);
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
  check_options(options);
  check(x.rank() == 4, "conv2d: input must be (N, C, H, W), got ", x);
  check(weight.rank() == 4, "conv2d: weight must be (K, C / groups, R, S), got ", weight);
  check(weight[2] >= 1 && weight[3] >= 1, "conv2d: weight ", weight, " has no taps");
  check(x[1] == weight[1] * options.groups, "conv2d: input has ", x[1], " channels but weight ", weight, " in ",
        options.groups, " groups expects ", weight[1] * options.groups);
  check(weight[0] % options.groups == 0, "conv2d: ", weight[0], " output channels of weight ", weight,
        " do not divide into ", options.groups, " groups");
  return {x[0], weight[0], output_size("height", x[2], weight[2], options),
          output_size("width", x[3], weight[3], options)};
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
  Tensor dweight = Tensor::empty(weight_shape, x.dtype());
  const Tensor plain_x = x.contiguous(), plain_dy = dy.contiguous();
  report_conv("conv2d_backward_weight", ConvPass::backward_weight, x, dweight, dy, options);
  use_fast(x.dtype()) ? fast::conv2d_backward_weight(plain_x, plain_dy, options, dweight)
                      : reference::conv2d_backward_weight(plain_x, plain_dy, options, dweight);
  return dweight;
}

Shape conv_transpose2d_output_shape(const Shape& x, const Shape& weight, const ConvTranspose2dOptions& options) {
  check_options(options.conv());
  check(x.rank() == 4, "conv_transpose2d: input must be (N, C_in, H, W), got ", x);
  check(weight.rank() == 4, "conv_transpose2d: weight must be (C_in, C_out / groups, R, S), got ", weight);
  check(x[1] == weight[0], "conv_transpose2d: input has ", x[1], " channels but weight ", weight, " expects ",
        weight[0]);
  check(options.output_padding >= 0 && options.output_padding < options.stride,
        "conv_transpose2d: output_padding must be in 0..stride-1, got ", options.output_padding, " with stride ",
        options.stride);
  const auto size = [&](int64_t inputs, int64_t taps) {
    return (inputs - 1) * options.stride - 2 * options.padding + options.dilation * (taps - 1) + 1 +
           options.output_padding;
  };
  const Shape out{x[0], weight[1] * options.groups, size(x[2], weight[2]), size(x[3], weight[3])};
  check(out[2] >= 0 && out[3] >= 0, "conv_transpose2d: input ", x, ", weight ", weight, " and padding ",
        options.padding, " leave an output of ", out);
  return out;
}

Tensor conv_transpose2d(const Tensor& x,
                        const Tensor& weight,
                        const Tensor& bias,
                        const ConvTranspose2dOptions& options) {
  const Shape shape = conv_transpose2d_output_shape(x.shape(), weight.shape(), options);
  const Tensor out = conv2d_backward_input(x, weight, shape, options.conv());
  return bias.defined() ? add(out, bias.reshape({1, bias.numel(), 1, 1})) : out;
}

void set_conv_algorithm(ConvAlgorithm algorithm) { chosen_algorithm() = algorithm; }
ConvAlgorithm conv_algorithm() { return chosen_algorithm().load(std::memory_order_relaxed); }

}  // namespace sfumato
