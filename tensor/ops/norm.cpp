#include "tensor/ops/norm.h"

#include "tensor/cost.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

// Every rule about the inputs that both passes share.
void check_group_norm(
    const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& o) {
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

Tensor contiguous_or_undefined(const Tensor& x) { return x.defined() ? x.contiguous() : x; }

void check_same(const char* op, const char* name, const Tensor& t, const Shape& shape, DType dtype) {
  check(t.shape() == shape, op, ": ", name, " has shape ", t.shape(), " where ", shape, " belongs");
  check(t.dtype() == dtype, op, ": ", name, " is ", t.dtype(), " but the input is ", dtype);
}

// Kernels work on contiguous rows: `dim` is exchanged with the last dimension, and back. A scalar is a row of one.
Tensor to_rows(const Tensor& x, int dim) { return x.dim() == 0 ? x.reshape({1}) : transpose(x, dim, -1).contiguous(); }
Tensor from_rows(const Tensor& rows, int dim, const Shape& shape) {
  return shape.rank() == 0 ? rows.reshape({}) : transpose(rows, dim, -1).contiguous();
}

}  // namespace

GroupNormResult group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& options) {
  check_group_norm("group_norm", x, weight, bias, options);
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
  check_same(op, "mean", mean, stats, x.dtype());
  check_same(op, "rstd", rstd, stats, x.dtype());
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
  const Tensor rows = to_rows(x, d);
  Tensor out = Tensor::empty(rows.shape(), x.dtype());
  report_cost("softmax", {&rows, &out});
  use_fast(x.dtype()) ? fast::softmax(rows, out) : reference::softmax(rows, out);
  return from_rows(out, d, x.shape());
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy, int64_t dim) {
  check_same("softmax_backward", "dy", dy, y.shape(), y.dtype());
  const int d = normalize_dim("softmax_backward", dim, y.dim());
  const Tensor rows = to_rows(y, d);
  Tensor dx = Tensor::empty(rows.shape(), y.dtype());
  report_cost("softmax_backward", {&rows, &dy, &dx});
  use_fast(y.dtype()) ? fast::softmax_backward(rows, to_rows(dy, d), dx)
                      : reference::softmax_backward(rows, to_rows(dy, d), dx);
  return from_rows(dx, d, y.shape());
}

}  // namespace sfumato
