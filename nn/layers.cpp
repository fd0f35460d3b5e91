#include "nn/layers.h"

#include <cmath>

#include "tensor/random.h"

namespace sfumato {
namespace {

// PyTorch's kaiming_uniform_(a = sqrt(5)): the bound sqrt(6 / ((1 + a^2) fan_in)) is 1 / sqrt(fan_in), also for the
// bias.
InitRule fan_in_rule(Init init, int64_t fan_in) {
  return init == Init::zeros ? InitRule::zeros() : InitRule::uniform(1.0 / std::sqrt(static_cast<double>(fan_in)));
}

Shape conv_weight_shape(int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options) {
  check(in > 0 && out > 0 && kernel > 0, "Conv2d: channels and kernel must be positive, got in ", in, ", out ", out,
        ", kernel ", kernel);
  check(options.groups > 0 && in % options.groups == 0 && out % options.groups == 0, "Conv2d: groups must divide ", in,
        " input and ", out, " output channels, got ", options.groups);
  return {out, in / options.groups, kernel, kernel};
}

}  // namespace

Linear::Linear(int64_t in, int64_t out, bool with_bias, Init init) {
  check(in > 0 && out > 0, "Linear: sizes must be positive, got in ", in, ", out ", out);
  weight = Parameter({out, in}, fan_in_rule(init, in));
  if (with_bias) {
    bias = Parameter({out}, fan_in_rule(init, in));
  }
}

Variable Linear::forward(const Variable& x) const { return linear(x, weight, bias); }

std::string Linear::describe() const { return fmt::format("Linear({}, {})", weight.shape()[1], weight.shape()[0]); }

Conv2d::Conv2d(int64_t in, int64_t out, int64_t kernel, const Conv2dOptions& options, bool with_bias, Init init)
    : options_(options) {
  const Shape shape = conv_weight_shape(in, out, kernel, options);
  const InitRule rule = fan_in_rule(init, shape[1] * kernel * kernel);
  weight = Parameter(shape, rule);
  if (with_bias) {
    bias = Parameter({out}, rule);
  }
}

Variable Conv2d::forward(const Variable& x) const { return conv2d(x, weight, bias, options_); }

std::string Conv2d::describe() const {
  const Shape& w = weight.shape();
  std::string text = fmt::format("Conv2d({}, {}, {}", w[1] * options_.groups, w[0], w[2]);
  const Conv2dOptions defaults;
  const auto append = [&](std::string_view name, const Pair2d& value, const Pair2d& usual) {
    if (value != usual) {
      text += fmt::format(", {}={}", name, to_string(value));
    }
  };
  append("stride", options_.stride, defaults.stride);
  append("padding", options_.padding, defaults.padding);
  append("padding_end", options_.padding_end, defaults.padding_end);
  append("dilation", options_.dilation, defaults.dilation);
  append("groups", options_.groups, defaults.groups);
  return text + ")";
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps)
    : weight({channels}, InitRule::ones()), bias({channels}, InitRule::zeros()), groups_(groups), eps_(eps) {
  check(groups > 0 && channels > 0 && channels % groups == 0, "GroupNorm: the number of groups must divide ", channels,
        " channels, got ", groups);
}

Variable GroupNorm::forward(const Variable& x) const {
  return group_norm(x, weight, bias, {.num_groups = groups_, .eps = eps_});
}

Variable GroupNorm::forward_silu(const Variable& x) const {
  const ModuleScope at_work(*this);
  return group_norm(x, weight, bias, {.num_groups = groups_, .eps = eps_, .silu = true});
}

std::string GroupNorm::describe() const {
  return fmt::format("GroupNorm({}, {}, eps={})", groups_, weight.shape()[0], eps_);
}

Dropout::Dropout(double p) : p_(p) { check(p >= 0 && p < 1, "Dropout: p must be in [0, 1), got ", p); }

Variable Dropout::forward(const Variable& x) const {
  if (!is_training() || p_ == 0) {
    return x;
  }
  return dropout(x, p_, RandomStream::of("dropout", path()));
}

std::string Dropout::describe() const { return fmt::format("Dropout({})", p_); }

Upsample::Upsample(int64_t scale) : scale_(scale) { check(scale > 0, "Upsample: scale must be positive, got ", scale); }

std::string Upsample::describe() const { return fmt::format("Upsample({})", scale_); }

Embedding::Embedding(int64_t count, int64_t width) {
  check(count > 0 && width > 0, "Embedding: sizes must be positive, got ", count, " rows of width ", width);
  weight = Parameter({count, width}, InitRule::normal(1.0));
}

Variable Sequential::forward(const Variable& x) const {
  Variable y = x;
  for (const auto& layer : layers_) {
    y = layer->forward(y);
  }
  return y;
}

void Sequential::visit(Visitor& v) {
  int64_t index = 0;
  for (const auto& layer : layers_) {
    v(std::to_string(index++), *layer);
  }
}

}  // namespace sfumato
