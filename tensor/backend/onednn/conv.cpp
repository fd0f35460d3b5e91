#include "tensor/backend/onednn/conv.h"

#include "tensor/backend/onednn/plan.h"

namespace sfumato::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

// A convolution in oneDNN's words.
struct Problem {
  memory::dims x, weight, y, bias, strides, dilates, padding_begin, padding_end;

  Problem(const Shape& x_shape, const Shape& w, const Shape& y_shape, const Conv2dOptions& o)
      : x(x_shape.begin(), x_shape.end()),
        y(y_shape.begin(), y_shape.end()),
        bias{w[0]},
        strides{o.stride.height, o.stride.width},
        dilates{o.dilation.height - 1, o.dilation.width - 1},
        padding_begin{o.padding.height, o.padding.width} {
    // Groups are a dimension of the weight.
    weight = o.groups == 1 ? memory::dims{w[0], w[1], w[2], w[3]}
                           : memory::dims{o.groups, w[0] / o.groups, w[1], w[2], w[3]};
    // oneDNN wants the padding that the outputs use, no more: what the stride leaves over is cut.
    for (size_t i = 0; i < 2; ++i) {
      const int64_t reach = (dilates[i] + 1) * (w[2 + static_cast<int>(i)] - 1) + 1;
      padding_end.push_back((y[2 + i] - 1) * strides[i] + reach - x[2 + i] - padding_begin[i]);
    }
  }

  Tag weight_tag() const { return weight.size() == 4 ? Tag::oihw : Tag::goihw; }
  static memory::desc desc(const memory::dims& dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }
  memory::desc plain_x() const { return desc(x, Tag::nchw); }
  memory::desc plain_weight() const { return desc(weight, weight_tag()); }
  memory::desc plain_y() const { return desc(y, Tag::nchw); }
  memory::desc plain_bias() const { return desc(bias, Tag::x); }
  memory::desc any_x() const { return desc(x, Tag::any); }
  memory::desc any_weight() const { return desc(weight, Tag::any); }
  memory::desc any_y() const { return desc(y, Tag::any); }
};

Key key_of(PlanKind kind, const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& o, bool bias) {
  return Key(kind, {x[0], x[1], x[2], x[3], w[0], w[2], w[3], y[2], y[3], o.stride.height, o.stride.width,
                    o.padding.height, o.padding.width, o.dilation.height, o.dilation.width, o.groups, bias});
}

dnnl::convolution_forward::primitive_desc forward_descriptor(const Problem& p, bool with_bias) {
  constexpr auto kind = dnnl::prop_kind::forward_training;
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  return with_bias ? describe<dnnl::convolution_forward>(cpu_engine(), plain_attributes(), kind, direct, p.any_x(),
                                                         p.any_weight(), p.plain_bias(), p.any_y(), p.strides,
                                                         p.dilates, p.padding_begin, p.padding_end)
                   : describe<dnnl::convolution_forward>(cpu_engine(), plain_attributes(), kind, direct, p.any_x(),
                                                         p.any_weight(), p.any_y(), p.strides, p.dilates,
                                                         p.padding_begin, p.padding_end);
}

Plan forward_plan(const Problem& p, bool with_bias) {
  const auto descriptor = forward_descriptor(p, with_bias);
  Plan plan = Plan::of<dnnl::convolution_forward>(descriptor);
  plan.add_input(DNNL_ARG_SRC, p.plain_x(), descriptor.src_desc());
  plan.add_input(DNNL_ARG_WEIGHTS, p.plain_weight(), descriptor.weights_desc());
  plan.add_output(DNNL_ARG_DST, p.plain_y(), descriptor.dst_desc());
  if (with_bias) {
    plan.add_input(DNNL_ARG_BIAS, p.plain_bias(), descriptor.bias_desc());
  }
  return plan;
}

Plan backward_input_plan(const Problem& p) {
  using P = dnnl::convolution_backward_data;
  const auto descriptor = describe_backward<P>(cpu_engine(), plain_attributes(), forward_descriptor(p, false),
                                               dnnl::algorithm::convolution_direct, p.any_x(), p.any_weight(),
                                               p.any_y(), p.strides, p.dilates, p.padding_begin, p.padding_end);
  Plan plan = Plan::of<P>(descriptor);
  plan.add_input(DNNL_ARG_DIFF_DST, p.plain_y(), descriptor.diff_dst_desc());
  plan.add_input(DNNL_ARG_WEIGHTS, p.plain_weight(), descriptor.weights_desc());
  plan.add_output(DNNL_ARG_DIFF_SRC, p.plain_x(), descriptor.diff_src_desc());
  return plan;
}

Plan backward_weight_plan(const Problem& p) {
  using P = dnnl::convolution_backward_weights;
  const auto descriptor = describe_backward<P>(cpu_engine(), plain_attributes(), forward_descriptor(p, false),
                                               dnnl::algorithm::convolution_direct, p.any_x(), p.any_weight(),
                                               p.any_y(), p.strides, p.dilates, p.padding_begin, p.padding_end);
  Plan plan = Plan::of<P>(descriptor);
  plan.add_input(DNNL_ARG_SRC, p.plain_x(), descriptor.src_desc());
  plan.add_input(DNNL_ARG_DIFF_DST, p.plain_y(), descriptor.diff_dst_desc());
  plan.add_output(DNNL_ARG_DIFF_WEIGHTS, p.plain_weight(), descriptor.diff_weights_desc());
  return plan;
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o, Tensor& out) {
  const Key key = key_of(PlanKind::conv_forward, x.shape(), weight.shape(), out.shape(), o, bias.defined());
  const auto plan = cached_plan(key, [&] {
    return forward_plan({x.shape(), weight.shape(), out.shape(), o}, bias.defined());
  });
  const float* x_data = x.data<float>();
  const float* weight_data = weight.data<float>();
  float* out_data = out.mutable_data<float>();
  bias.defined() ? plan->run({x_data, weight_data, out_data, bias.data<float>()})
                 : plan->run({x_data, weight_data, out_data});
}

void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Conv2dOptions& o, Tensor& dx) {
  const Key key = key_of(PlanKind::conv_backward_input, dx.shape(), weight.shape(), dy.shape(), o, false);
  const auto plan = cached_plan(key, [&] { return backward_input_plan({dx.shape(), weight.shape(), dy.shape(), o}); });
  plan->run({dy.data<float>(), weight.data<float>(), dx.mutable_data<float>()});
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Conv2dOptions& o, Tensor& dweight) {
  const Key key = key_of(PlanKind::conv_backward_weight, x.shape(), dweight.shape(), dy.shape(), o, false);
  const auto plan = cached_plan(key, [&] { return backward_weight_plan({x.shape(), dweight.shape(), dy.shape(), o}); });
  plan->run({x.data<float>(), dy.data<float>(), dweight.mutable_data<float>()});
}

}  // namespace sfumato::onednn
