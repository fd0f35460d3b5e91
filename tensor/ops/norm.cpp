#include "tensor/ops/norm.h"

#include "tensor/cost.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/lines.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/widened.h"

namespace sfumato {
namespace {

// Every rule about the inputs that both passes share.
void check_group_norm(
    const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& o) {
  check_dtype(op, kFloats, x.dtype());
  check(x.dim() >= 2, op, ": input must be (N, C, ...), got ", x.shape());
  const int64_t channels = x.size(1);
  check(o.num_groups >= 1, op, ": num_groups must be at least 1, got ", o.num_groups);
  check(channels % o.num_groups == 0, op, ": ", channels, " channels of input ", x.shape(), " do not divide into ",
        o.num_groups, " groups");
  const auto check_affine = [&](const char* name, const Tensor& t) {
    if (t.defined()) {
      check(t.shape() == Shape{channels}, op, ": ", name, " has shape ", t.shape(), " but input ", x.shape(), " has ",
            channels, " channels");
      check(t.dtype() == x.dtype(), op, ": ", name, " is ", t.dtype(), " but the input is ", x.dtype());
    }
  };
  check_affine("weight", weight);
  check_affine("bias", bias);
}

// Back from f32; undefined tensors stay so.
Tensor narrowed(const Tensor& x) { return x.defined() ? x.to(DType::bf16) : x; }

Tensor contiguous_or_undefined(const Tensor& x) { return x.defined() ? x.contiguous() : x; }

void check_same(const char* op, const char* name, const Tensor& t, const Shape& shape, DType dtype) {
  check(t.shape() == shape, op, ": ", name, " has shape ", t.shape(), " where ", shape, " belongs");
  check(t.dtype() == dtype, op, ": ", name, " is ", t.dtype(), " but the input is ", dtype);
}

}  // namespace

GroupNormResult group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& options) {
  check_group_norm("group_norm", x, weight, bias, options);
  if (x.dtype() == DType::bf16) {
    const GroupNormResult wide = group_norm(widened(x), widened(weight), widened(bias), options);
    return {narrowed(wide.out), wide.mean, wide.rstd};
  }
  const Shape stats{x.size(0), options.num_groups};
  GroupNormResult r{Tensor::empty(x.shape(), x.dtype()), Tensor::empty(stats, x.dtype()),
                    Tensor::empty(stats, x.dtype())};
  const Tensor plain_x = x.contiguous();
  const Tensor plain_weight = contiguous_or_undefined(weight);
  const Tensor plain_bias = contiguous_or_undefined(bias);
  report_cost("group_norm", {&x, &r.out});
  use_fast(x.dtype()) ? fast::group_norm(plain_x, plain_weight, plain_bias, options, r.out, r.mean, r.rstd)
                      : reference::group_norm(plain_x, plain_weight, plain_bias, options, r.out, r.mean, r.rstd);
  return r;
}

GroupNormGradients group_norm_backward(const Tensor& dy,
                                       const Tensor& x,
                                       const Tensor& mean,
                                       const Tensor& rstd,
                                       const Tensor& weight,
                                       const Tensor& bias,
                                       const GroupNormOptions& options) {
  constexpr const char* op = "group_norm_backward";
  check_group_norm(op, x, weight, bias, options);
  const Shape stats{x.size(0), options.num_groups};
  check_same(op, "dy", dy, x.shape(), x.dtype());
  const DType statistics = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  check_same(op, "mean", mean, stats, statistics);
  check_same(op, "rstd", rstd, stats, statistics);
  if (x.dtype() == DType::bf16) {
    const GroupNormGradients wide =
        group_norm_backward(widened(dy), widened(x), mean, rstd, widened(weight), widened(bias), options);
    return {narrowed(wide.dx), narrowed(wide.dweight), narrowed(wide.dbias)};
  }
  GroupNormGradients g;
  g.dx = Tensor::empty(x.shape(), x.dtype());
  g.dweight = weight.defined() ? Tensor::empty(weight.shape(), x.dtype()) : Tensor();
  g.dbias = bias.defined() ? Tensor::empty(bias.shape(), x.dtype()) : Tensor();
  const Tensor plain_dy = dy.contiguous();
  const Tensor plain_x = x.contiguous();
  const Tensor plain_weight = contiguous_or_undefined(weight);
  const Tensor plain_bias = contiguous_or_undefined(bias);
  report_cost(op, {&dy, &x, &g.dx});
  const auto kernel = use_fast(x.dtype()) ? &fast::group_norm_backward : &reference::group_norm_backward;
  kernel(plain_dy, plain_x, mean.contiguous(), rstd.contiguous(), plain_weight, plain_bias, options, g.dx, g.dweight,
         g.dbias);
  return g;
}

Tensor softmax(const Tensor& x, int64_t dim) {
  const int d = normalize_dim("softmax", dim, x.dim());
  check_dtype("softmax", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return narrowed(softmax(widened(x), dim));
  }
  const Tensor rows = to_rows(x, d);
  Tensor out = Tensor::empty(rows.shape(), x.dtype());
  report_cost("softmax", {&rows, &out});
  use_fast(x.dtype()) ? fast::softmax(rows, out) : reference::softmax(rows, out);
  return from_rows(out, d, x.dim());
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy, int64_t dim) {
  check_same("softmax_backward", "dy", dy, y.shape(), y.dtype());
  const int d = normalize_dim("softmax_backward", dim, y.dim());
  check_dtype("softmax_backward", kFloats, y.dtype());
  if (y.dtype() == DType::bf16) {
    return narrowed(softmax_backward(widened(y), widened(dy), dim));
  }
  const Tensor rows = to_rows(y, d);
  Tensor dx = Tensor::empty(rows.shape(), y.dtype());
  report_cost("softmax_backward", {&rows, &dy, &dx});
  use_fast(y.dtype()) ? fast::softmax_backward(rows, to_rows(dy, d), dx)
                      : reference::softmax_backward(rows, to_rows(dy, d), dx);
  return from_rows(dx, d, y.dim());
}

namespace {

// Infinite maxima count as 0: inf - inf would be NaN where the result is just inf.
Tensor finite_maximum(const Tensor& x, const Dims& dim) {
  const Tensor top = amax(x, dim, true);
  return masked_fill(top, isinf(top), 0);
}

}  // namespace

Tensor log_softmax(const Tensor& x, int64_t dim) {
  normalize_dim("log_softmax", dim, x.dim());
  check_dtype("log_softmax", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return narrowed(log_softmax(widened(x), dim));
  }
  if (x.numel() == 0) {
    return x.clone();
  }
  const Tensor below = sub(x, finite_maximum(x, {dim}));
  return sub(below, log(sum(exp(below), {dim}, true)));
}

Tensor logsumexp(const Tensor& x, const Dims& dim, bool keepdim) {
  const uint32_t mask = dim_mask("logsumexp", dim, x.dim());
  check_dtype("logsumexp", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return narrowed(logsumexp(widened(x), dim, keepdim));
  }
  if (x.numel() == 0) {
    return log(sum(x, dim, keepdim));  // log of an empty sum: minus infinity
  }
  const Tensor top = finite_maximum(x, dim);
  return add(log(sum(exp(sub(x, top)), dim, true)), top).reshape(reduced_shape(x.shape(), mask, keepdim));
}

}  // namespace sfumato
