#include "autograd/ops/norm.h"

#include <cmath>
#include <limits>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {
namespace {

using GroupNormRule = std::array<Variable, 3>;

// The gradients of group_norm from plain ops: differentiable again, in x, weight, bias and g. With xh = (x - mean) rstd
// and means over a group:
//   dx = rstd (w dz - mean(w dz) - xh mean(w dz xh)),  dweight = sum(dz xh),  dbias = sum(dz),  dz = g silu'(z) or g.
GroupNormRule compose_group_norm_gradients(
    const Variable& g, const Variable& x, const Variable& weight, const Variable& bias, const GroupNormOptions& o) {
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

void check_affine(const char* op, const char* name, const Variable& v, const Shape& shape) {
  check(!v.defined() || v.shape() == shape, op, ": ", name, " has shape ", v.shape(), " but ", shape, " belongs here");
}

Variable scale_and_shift(Variable y, const Variable& weight, const Variable& bias) {
  y = weight.defined() ? y * weight : y;
  return bias.defined() ? y + bias : y;
}

// Infinite maxima are replaced by 0: inf - inf would be NaN where the result is just inf.
Tensor finite_maximum(const Tensor& x, const Dims& dim) {
  const Tensor top = amax(x, dim, true);
  return masked_fill(top, eq(abs(top), std::numeric_limits<double>::infinity()), 0);
}

Tensor logsumexp_of(const Tensor& x, const Dims& dim) {
  if (x.numel() == 0) {
    return log(sum(x, dim, true));  // log of an empty sum: minus infinity
  }
  const Tensor top = finite_maximum(x, dim);
  return log(sum(exp(x - top), dim, true)) + top;
}

}  // namespace

Variable group_norm(const Variable& x, const Variable& weight, const Variable& bias, const GroupNormOptions& options) {
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
  trailing_dims("layer_norm", x.shape(), normalized_shape);
  check_affine("layer_norm", "weight", weight, normalized_shape);
  check_affine("layer_norm", "bias", bias, normalized_shape);
  int64_t rows = 1;
  for (int d = 0; d < x.dim() - normalized_shape.rank(); ++d) {
    rows *= x.shape()[d];
  }
  const Variable lines = reshape(x, {rows, 1, normalized_shape.numel()});
  const Variable normal = group_norm(lines, {}, {}, {.num_groups = 1, .eps = eps});
  return scale_and_shift(reshape(normal, x.shape()), weight, bias);
}

Variable rms_norm(const Variable& x, const Shape& normalized_shape, const Variable& weight, double eps) {
  const Dims dims = trailing_dims("rms_norm", x.shape(), normalized_shape);
  check_affine("rms_norm", "weight", weight, normalized_shape);
  return scale_and_shift(x * rsqrt(mean(square(x), dims, true) + eps), weight, {});
}

Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias, double eps) {
  check(x.dim() >= 2, "batch_norm: input must be (N, C, ...), got ", x.shape());
  const int64_t channels = x.size(1);
  check_affine("batch_norm", "weight", weight, {channels});
  check_affine("batch_norm", "bias", bias, {channels});
  Dims dims;
  for (int d = 0; d < x.dim(); ++d) {
    if (d != 1) {
      dims.push_back(d);
    }
  }
  Shape per_channel = Dims::filled(x.dim(), 1);
  per_channel[1] = channels;
  const auto spread = [&](const Variable& v) { return v.defined() ? reshape(v, per_channel) : v; };
  const Variable centered = x - mean(x, dims, true);
  const Variable rstd = rsqrt(mean(square(centered), dims, true) + eps);
  return scale_and_shift(centered * rstd, spread(weight), spread(bias));
}

Variable softmax(const Variable& x, int64_t dim) {
  return record("softmax", softmax(x.tensor(), dim), wrt(x, [dim](const Variable& g, const Variable& y) {
                  if (!grad_enabled()) {
                    return Variable(softmax_backward(y.tensor(), g.tensor(), dim));
                  }
                  return y * (g - sum(g * y, {dim}, true));
                }));
}

Variable log_softmax(const Variable& x, int64_t dim) {
  return record("log_softmax", x.tensor() - logsumexp_of(x.tensor(), {dim}),
                wrt(x, [dim](const Variable& g, const Variable& y) { return g - exp(y) * sum(g, {dim}, true); }));
}

Variable logsumexp(const Variable& x, const Dims& dim, bool keepdim) {
  const Tensor kept = logsumexp_of(x.tensor(), dim);
  const Shape shape = reduced_shape(x.shape(), dim_mask("logsumexp", dim, x.dim()), keepdim);
  return record("logsumexp", kept.reshape(shape),
                wrt(x, [x = save(x), kept = kept.shape()](const Variable& g, const Variable& y) {
                  return reshape(g, kept) * exp(x() - reshape(y, kept));
                }));
}

Variable var(const Variable& x, const Dims& dim, int64_t correction, bool keepdim) {
  const uint32_t mask = dim_mask("var", dim, x.dim());
  double count = 1;
  for (int d = 0; d < x.dim(); ++d) {
    count *= (mask >> d & 1u) != 0 ? static_cast<double>(x.shape()[d]) : 1;
  }
  const Variable squares = sum(square(x - mean(x, dim, true)), dim, keepdim);
  return div(squares, std::max(count - static_cast<double>(correction), 0.0));
}

}  // namespace sfumato
