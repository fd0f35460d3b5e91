#include "autograd/ops/norm.h"

#include <limits>

#include "autograd/autocast.h"
#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/statistics.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {
namespace {

using GroupNormRule = std::array<Variable, 3>;

// The gradients of group_norm from plain ops: differentiable again, in x, weight, bias and g. With xh = (x - mean) rstd
// and means over a group:
//   dx = rstd (w dz - mean(w dz) - xh mean(w dz xh)),  dweight = sum(dz xh),  dbias = sum(dz),  dz = g silu'(z) or g.
GroupNormRule compose_group_norm_gradients(
    const Variable& g, const Variable& x, const Variable& weight, const Variable& bias, const GroupNormOptions& o) {
  if (x.dtype() == DType::bf16) {
    GroupNormRule wide = compose_group_norm_gradients(widened(g), widened(x), widened(weight), widened(bias), o);
    for (Variable& gradient : wide) {
      gradient = gradient.defined() ? to(gradient, DType::bf16) : gradient;
    }
    return wide;
  }
  const int64_t channels = x.size(1);
  const int64_t plane = channels > 0 && x.size(0) > 0 ? x.numel() / (x.size(0) * channels) : 0;
  const Shape grouped{x.size(0), o.num_groups, channels / o.num_groups, plane};
  const Shape per_channel{1, o.num_groups, channels / o.num_groups, 1};
  const Dims group_dims{2, 3};
  const Dims channel_sum{0, 3};

  const Variable centered = reshape(x, grouped) - mean(reshape(x, grouped), group_dims, true);
  const Variable rstd = rsqrt(mean(square(centered), group_dims, true) + o.eps);
  const Variable normal = centered * rstd;
  const Variable w = weight.defined() ? reshape(weight, per_channel) : Variable();
  Variable dz = reshape(g, grouped);
  if (o.silu) {
    Variable z = w.defined() ? normal * w : normal;
    z = bias.defined() ? z + reshape(bias, per_channel) : z;
    const Variable s = sigmoid(z);
    dz = dz * (s * (z * affine(s, -1, 1) + 1.0));
  }
  const Variable dnormal = w.defined() ? dz * w : dz;
  const Variable dx =
      (dnormal - mean(dnormal, group_dims, true) - normal * mean(dnormal * normal, group_dims, true)) * rstd;
  return {reshape(dx, x.shape()), weight.defined() ? reshape(sum(dz * normal, channel_sum), {channels}) : Variable(),
          bias.defined() ? reshape(sum(dz, channel_sum), {channels}) : Variable()};
}

// The dimensions that normalized_shape covers: the last ones of x, which must have these sizes.
Dims trailing_dims(const char* op, const Shape& x, const Shape& normalized_shape) {
  const int count = normalized_shape.rank();
  const int lead = x.rank() - count;
  bool fits = count >= 1 && lead >= 0;
  Dims dims;
  for (int i = 0; fits && i < count; ++i) {
    fits = x[lead + i] == normalized_shape[i];
    dims.push_back(lead + i);
  }
  check(fits, op, ": input ", x, " does not end in normalized_shape ", normalized_shape);
  return dims;
}

void check_affine(const char* op, const char* name, const Variable& v, const Shape& shape, DType dtype) {
  if (v.defined()) {
    check(v.shape() == shape, op, ": ", name, " has shape ", v.shape(), " but ", shape, " belongs here");
    check(v.dtype() == dtype, op, ": ", name, " is ", v.dtype(), " but the input is ", dtype);
  }
}

// What all norms of (N, C, ...) ask for.
void check_channels(const char* op, const Variable& x, const Variable& weight, const Variable& bias) {
  check_dtype(op, kFloats, x.dtype());
  check(x.dim() >= 2, op, ": input must be (N, C, ...), got ", x.shape());
  check_affine(op, "weight", weight, {x.size(1)}, x.dtype());
  check_affine(op, "bias", bias, {x.size(1)}, x.dtype());
}

Variable scale_and_shift(Variable y, const Variable& weight, const Variable& bias) {
  y = weight.defined() ? y * weight : y;
  return bias.defined() ? y + bias : y;
}

}  // namespace

Variable group_norm(const Variable& x, const Variable& weight, const Variable& bias, const GroupNormOptions& options) {
  if (runs_in_f32(x, weight, bias)) {
    return group_norm(autocast_f32(x), autocast_f32(weight), autocast_f32(bias), options);
  }
  const GroupNormResult r = group_norm(x.tensor(), weight.tensor(), bias.tensor(), options);
  return record("group_norm", r.out,
                wrt_joint({x, weight, bias}, [x = save(x), weight = save(weight), bias = save(bias), mean = r.mean,
                                              rstd = r.rstd, options](const Variable& g, const std::array<bool, 3>&) {
                  if (grad_enabled()) {
                    return compose_group_norm_gradients(g, x(), weight(), bias(), options);
                  }
                  const GroupNormGradients d = group_norm_backward(g.tensor(), x().tensor(), mean, rstd,
                                                                   weight().tensor(), bias().tensor(), options);
                  return GroupNormRule{d.dx, d.dweight, d.dbias};
                }));
}

// Each row of the leading dimensions is one sample with one group.
Variable layer_norm(
    const Variable& x, const Shape& normalized_shape, const Variable& weight, const Variable& bias, double eps) {
  if (runs_in_f32(x, weight, bias)) {
    return layer_norm(autocast_f32(x), normalized_shape, autocast_f32(weight), autocast_f32(bias), eps);
  }
  check_dtype("layer_norm", kFloats, x.dtype());
  trailing_dims("layer_norm", x.shape(), normalized_shape);
  check_affine("layer_norm", "weight", weight, normalized_shape, x.dtype());
  check_affine("layer_norm", "bias", bias, normalized_shape, x.dtype());
  if (x.dtype() == DType::bf16) {
    return to(layer_norm(widened(x), normalized_shape, widened(weight), widened(bias), eps), DType::bf16);
  }
  int64_t rows = 1;
  for (int d = 0; d < x.dim() - normalized_shape.rank(); ++d) {
    rows *= x.shape()[d];
  }
  const Variable lines = reshape(x, {rows, 1, normalized_shape.numel()});
  const Variable normal = group_norm(lines, {}, {}, {.num_groups = 1, .eps = eps});
  return scale_and_shift(reshape(normal, x.shape()), weight, bias);
}

Variable rms_norm(const Variable& x, const Shape& normalized_shape, const Variable& weight, double eps) {
  if (runs_in_f32(x, weight)) {
    return rms_norm(autocast_f32(x), normalized_shape, autocast_f32(weight), eps);
  }
  check_dtype("rms_norm", kFloats, x.dtype());
  const Dims dims = trailing_dims("rms_norm", x.shape(), normalized_shape);
  check_affine("rms_norm", "weight", weight, normalized_shape, x.dtype());
  if (x.dtype() == DType::bf16) {
    return to(rms_norm(widened(x), normalized_shape, widened(weight), eps), DType::bf16);
  }
  return scale_and_shift(x * rsqrt(mean(square(x), dims, true) + eps), weight, {});
}

namespace {

// All dimensions but the channels.
Dims all_but_channels(const Variable& x) {
  Dims dims{0};
  for (int d = 2; d < x.dim(); ++d) {
    dims.push_back(d);
  }
  return dims;
}

// (C) beside (N, C, ...).
Variable beside(const Variable& per_channel, const Variable& x) {
  Shape shape = Dims::filled(x.dim(), 1);
  shape[1] = x.size(1);
  return per_channel.defined() ? reshape(per_channel, shape) : per_channel;
}

void check_running(const char* name, const Tensor& running, int64_t channels, bool needed) {
  check(running.defined() || !needed, "batch_norm: without training ", name, " must be given");
  check(!running.defined() || (running.shape() == Shape{channels} && is_floating(running.dtype())),
        "batch_norm: ", name, " must be (", channels, ",) of a floating dtype, got ", running.shape(), " ",
        running.dtype());
}

// running += momentum (batch - running).
void update_running(Tensor running, const Tensor& batch, double momentum) {
  if (running.defined()) {
    const Tensor wide = running.to(batch.dtype());
    running.copy_from(add(wide, mul(sub(batch, wide), momentum)));
  }
}

}  // namespace

Variable batch_norm(const Variable& x,
                    const Tensor& running_mean,
                    const Tensor& running_var,
                    const Variable& weight,
                    const Variable& bias,
                    const BatchNormOptions& options) {
  check_channels("batch_norm", x, weight, bias);
  check_running("running_mean", running_mean, x.size(1), !options.training);
  check_running("running_var", running_var, x.size(1), !options.training);
  if (x.dtype() == DType::bf16) {
    return to(batch_norm(widened(x), running_mean, running_var, widened(weight), widened(bias), options), DType::bf16);
  }
  if (!options.training) {
    const Variable m = beside(running_mean.to(x.dtype()), x);
    const Variable v = beside(running_var.to(x.dtype()), x);
    return scale_and_shift((x - m) * rsqrt(v + options.eps), beside(weight, x), beside(bias, x));
  }
  check(x.size(1) == 0 || x.numel() != x.size(1), "batch_norm: training needs more than one value per channel, got ",
        x.shape());
  const Dims dims = all_but_channels(x);
  if (x.numel() > 0) {
    update_running(running_mean, mean(x.tensor(), dims), options.momentum);
    update_running(running_var, var(x.tensor(), dims), options.momentum);
  }
  const Variable centered = x - mean(x, dims, true);
  const Variable rstd = rsqrt(mean(square(centered), dims, true) + options.eps);
  return scale_and_shift(centered * rstd, beside(weight, x), beside(bias, x));
}

Variable instance_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps) {
  check_channels("instance_norm", x, weight, bias);
  const int64_t lines = x.size(0) * x.size(1);
  check(x.dim() >= 3 && (lines == 0 || x.numel() / lines != 1),
        "instance_norm: ", "more than one position per channel is needed, got input ", x.shape());
  return group_norm(x, weight, bias, {.num_groups = std::max<int64_t>(x.size(1), 1), .eps = eps});
}

Variable normalize(const Variable& x, double p, int64_t dim, double eps) {
  check_dtype("normalize", kFloats, x.dtype());
  const int d = normalize_dim("normalize", dim, x.dim());
  if (x.dtype() == DType::bf16) {
    return to(normalize(widened(x), p, dim, eps), DType::bf16);
  }
  return x / clamp(norm(x, p, {d}, true), eps, std::numeric_limits<double>::infinity());
}

Variable softmax(const Variable& x, int64_t dim) {
  if (runs_in_f32(x)) {
    return softmax(autocast_f32(x), dim);
  }
  return record("softmax", softmax(x.tensor(), dim), wrt(x, [dim](const Variable& g, const Variable& y) {
                  if (!grad_enabled()) {
                    return Variable(softmax_backward(y.tensor(), g.tensor(), dim));
                  }
                  return y * (g - sum(g * y, {dim}, true));
                }));
}

Variable log_softmax(const Variable& x, int64_t dim) {
  if (runs_in_f32(x)) {
    return log_softmax(autocast_f32(x), dim);
  }
  return record("log_softmax", log_softmax(x.tensor(), dim),
                wrt(x, [dim](const Variable& g, const Variable& y) { return g - exp(y) * sum(g, {dim}, true); }));
}

Variable logsumexp(const Variable& x, const Dims& dim, bool keepdim) {
  if (runs_in_f32(x)) {
    return logsumexp(autocast_f32(x), dim, keepdim);
  }
  const uint32_t mask = dim_mask("logsumexp", dim, x.dim());
  return record(
      "logsumexp", logsumexp(x.tensor(), dim, keepdim),
      wrt(x, [x = save(x), kept = reduced_shape(x.shape(), mask, true)](const Variable& g, const Variable& y) {
        return reshape(g, kept) * exp(x() - reshape(y, kept));
      }));
}

}  // namespace sfumato
