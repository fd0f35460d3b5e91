#include "autograd/ops/loss.h"

#include <cmath>

#include "autograd/autocast.h"
#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/index.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

Variable reduce(const Variable& losses, Reduction reduction) {
  switch (reduction) {
    case Reduction::none: return losses;
    case Reduction::mean: return mean(losses);
    case Reduction::sum: return sum(losses);
  }
  return losses;
}

// The dtype that floating inputs meet in.
DType meeting_dtype(const char* op, std::initializer_list<Variable> inputs) {
  DType meeting = DType::bf16;
  for (const Variable& input : inputs) {
    check(input.defined(), op, ": an input is undefined");
    check_dtype(op, kFloats, input.dtype());
    meeting = promote_types(meeting, input.dtype());
  }
  return meeting;
}

// f of the inputs in the dtype in which they meet, or for bf16 alone in f32 with one rounding at the end.
template <class F, class... Inputs>
Variable computed(const char* op, F&& f, const Inputs&... inputs) {
  const DType meeting = meeting_dtype(op, {inputs...});
  const DType inside = meeting == DType::bf16 ? DType::f32 : meeting;
  return to(f(to(inputs, inside)...), meeting);
}

void check_broadcast(const char* op, const Variable& input, const Variable& target) {
  broadcast_shapes(op, input.shape(), target.shape());
}

}  // namespace

// ---- distances ----

Variable mse_loss(const Variable& input, const Variable& target, Reduction reduction) {
  if (runs_in_f32(input, target)) {
    return mse_loss(autocast_f32(input), autocast_f32(target), reduction);
  }
  return computed(
      "mse_loss",
      [&](const Variable& x, const Variable& t) {
        check_broadcast("mse_loss", x, t);
        return reduce(square(sub(x, t)), reduction);
      },
      input, target);
}

Variable l1_loss(const Variable& input, const Variable& target, Reduction reduction) {
  return computed(
      "l1_loss",
      [&](const Variable& x, const Variable& t) {
        check_broadcast("l1_loss", x, t);
        return reduce(abs(sub(x, t)), reduction);
      },
      input, target);
}

namespace {

Variable smooth_l1(
    const char* op, const Variable& input, const Variable& target, double beta, double scale, Reduction r) {
  return computed(
      op,
      [&](const Variable& x, const Variable& t) {
        check_broadcast(op, x, t);
        const Variable difference = sub(x, t), distance = abs(difference);
        return reduce(where(lt(distance.tensor(), beta), mul(square(difference), 0.5 * scale / beta),
                            affine(distance, scale, -0.5 * beta * scale)),
                      r);
      },
      input, target);
}

}  // namespace

Variable smooth_l1_loss(const Variable& input, const Variable& target, double beta, Reduction reduction) {
  check(beta >= 0, "smooth_l1_loss: beta must not be negative, got ", beta);
  return beta == 0 ? l1_loss(input, target, reduction) : smooth_l1("smooth_l1_loss", input, target, beta, 1, reduction);
}

Variable huber_loss(const Variable& input, const Variable& target, double delta, Reduction reduction) {
  check(delta > 0, "huber_loss: delta must be positive, got ", delta);
  return smooth_l1("huber_loss", input, target, delta, delta, reduction);
}

// ---- classes ----

namespace {

// What integer targets say: the class to look up (0 where ignored) and what each target weighs (0 where ignored).
struct Targets {
  Tensor index, weight;
};

Targets targets_of(
    const char* op, const Variable& log_p, const Tensor& target, const Tensor& class_weight, int64_t ignore_index) {
  Shape expected = log_p.shape();
  expected.erase(1);
  check(target.shape() == expected, op, ": input (N, classes, ...) and target (N, ...) expected, got ", log_p.shape(),
        " and ", target.shape());
  check_dtype(op, kIndices, target.dtype());
  const Tensor ignored = eq(target, static_cast<double>(ignore_index));
  Targets result{masked_fill(target, ignored, 0), {}};
  const auto classes = static_cast<double>(log_p.size(1));
  check(!any(logical_or(lt(result.index, 0.0), ge(result.index, classes))).item(), op, ": targets must be in 0..",
        log_p.size(1) - 1, " or ", ignore_index);
  const Tensor flat = result.index.reshape({target.numel()});
  const Tensor weights = class_weight.defined() ? index_select(class_weight, 0, flat).reshape(target.shape())
                                                : ones(target.shape(), log_p.dtype());
  result.weight = masked_fill(weights, ignored, 0);
  return result;
}

// The weights of classes in the loss's dtype; undefined stays undefined.
Tensor class_weights(const char* op, const Tensor& weight, const Variable& log_p) {
  check(!weight.defined() || weight.shape() == Shape{log_p.size(1)}, op,
        ": weight must have one entry for each of the ", log_p.size(1), " classes, got ", weight.shape());
  return weight.defined() ? weight.to(log_p.dtype()) : weight;
}

// Sums and means of classes: the mean divides by what the targets weigh.
Variable reduce_weighted(const Variable& losses, const Tensor& weight, Reduction reduction) {
  return reduction == Reduction::mean ? div(sum(losses), Variable(sum(weight))) : reduce(losses, reduction);
}

// sum_c w_c * values_c over the classes, dimension 1.
Variable class_sum(const Variable& values, const Tensor& weight) {
  if (!weight.defined()) {
    return sum(values, {1});
  }
  Shape column = Shape::filled(values.dim(), 1);
  column[1] = weight.numel();
  return sum(mul(values, weight.reshape(column)), {1});
}

Variable with_indices(const char* op, const Variable& log_p, const Tensor& target, const CrossEntropyOptions& o) {
  const Tensor weight = class_weights(op, o.weight, log_p);
  const Targets targets = targets_of(op, log_p, target, weight, o.ignore_index);
  const Variable picked = squeeze(gather(log_p, 1, unsqueeze(targets.index, 1)), 1);
  Variable losses = neg(mul(picked, targets.weight));
  if (o.label_smoothing > 0) {
    const Tensor ignored = eq(target, static_cast<double>(o.ignore_index));
    const Variable spread = masked_fill(neg(class_sum(log_p, weight)), ignored, 0);
    losses =
        add(mul(losses, 1 - o.label_smoothing), mul(spread, o.label_smoothing / static_cast<double>(log_p.size(1))));
  }
  return reduce_weighted(losses, targets.weight, o.reduction);
}

Variable with_probabilities(const char* op,
                            const Variable& log_p,
                            const Variable& target,
                            const CrossEntropyOptions& o) {
  check(target.shape() == log_p.shape(), op, ": probabilities must have the input's shape ", log_p.shape(), ", got ",
        target.shape());
  const Variable smoothed = o.label_smoothing > 0 ? affine(target, 1 - o.label_smoothing,
                                                           o.label_smoothing / static_cast<double>(log_p.size(1)))
                                                  : target;
  return reduce(neg(class_sum(mul(log_p, smoothed), class_weights(op, o.weight, log_p))), o.reduction);
}

}  // namespace

Variable cross_entropy(const Variable& input, const Variable& target, const CrossEntropyOptions& options) {
  if (runs_in_f32(input, target)) {
    return cross_entropy(autocast_f32(input), autocast_f32(target), options);
  }
  constexpr const char* op = "cross_entropy";
  check(target.defined(), op, ": the target is undefined");
  check(options.label_smoothing >= 0 && options.label_smoothing <= 1, op, ": label_smoothing must be in [0, 1], got ",
        options.label_smoothing);
  const auto loss = [&](const Variable& x, const Variable& t) {
    check(x.dim() >= 1, op, ": input must be (N, classes, ...) or (classes), got ", x.shape());
    if (x.dim() == 1) {
      CrossEntropyOptions same = options;
      const Variable one = cross_entropy(unsqueeze(x, 0), unsqueeze(t, 0), same);
      return options.reduction == Reduction::none ? squeeze(one, 0) : one;
    }
    const Variable log_p = log_softmax(x, 1);
    return is_floating(t.dtype()) ? with_probabilities(op, log_p, t, options)
                                  : with_indices(op, log_p, t.tensor(), options);
  };
  return is_floating(target.dtype()) ? computed(op, loss, input, target)
                                     : computed(
                                           op, [&](const Variable& x) { return loss(x, target); }, input);
}

Variable nll_loss(const Variable& input, const Tensor& target, const NllOptions& o) {
  constexpr const char* op = "nll_loss";
  check(target.defined(), op, ": the target is undefined");
  return computed(
      op,
      [&](const Variable& log_p) {
        check(log_p.dim() >= 2, op, ": input must be (N, classes, ...), got ", log_p.shape());
        return with_indices(op, log_p, target,
                            {.weight = o.weight, .ignore_index = o.ignore_index, .reduction = o.reduction});
      },
      input);
}

// ---- probabilities ----

namespace {

Variable weighted(const Variable& losses, const Tensor& weight) {
  return weight.defined() ? mul(losses, weight.to(losses.dtype())) : losses;
}

// log(p), and -100 where p is 0.
Variable bounded_log(const Variable& p) {
  const Tensor zero = eq(p.tensor(), 0.0);
  return masked_fill(log(masked_fill(p, zero, 1)), zero, -100);
}

}  // namespace

Variable binary_cross_entropy(const Variable& input,
                              const Variable& target,
                              const Tensor& weight,
                              Reduction reduction) {
  constexpr const char* op = "binary_cross_entropy";
  return computed(
      op,
      [&](const Variable& p, const Variable& t) {
        check(p.shape() == t.shape(), op, ": target has shape ", t.shape(), " but input ", p.shape());
        check(!any(logical_or(lt(p.tensor(), 0.0), gt(p.tensor(), 1.0))).item(), op, ": input must lie in [0, 1]");
        const Variable other = affine(p, -1, 1);
        const Variable log_likelihood = add(mul(t, bounded_log(p)), mul(affine(t, -1, 1), bounded_log(other)));
        return reduce(weighted(neg(log_likelihood), weight), reduction);
      },
      input, target);
}

Variable binary_cross_entropy_with_logits(const Variable& input,
                                          const Variable& target,
                                          const Tensor& weight,
                                          const Tensor& pos_weight,
                                          Reduction reduction) {
  constexpr const char* op = "binary_cross_entropy_with_logits";
  return computed(
      op,
      [&](const Variable& x, const Variable& t) {
        check(x.shape() == t.shape(), op, ": target has shape ", t.shape(), " but input ", x.shape());
        // -log sigmoid(x) = softplus(-x) and -log(1 - sigmoid(x)) = x + softplus(-x).
        const Variable minus_log = softplus(neg(x));
        const Variable first = pos_weight.defined() ? mul(t, pos_weight.to(x.dtype())) : t;
        const Variable second = affine(t, -1, 1);
        return reduce(weighted(add(mul(second, x), mul(add(first, second), minus_log)), weight), reduction);
      },
      input, target);
}

Variable kl_div(const Variable& input, const Variable& target, KlReduction reduction, bool log_target) {
  constexpr const char* op = "kl_div";
  return computed(
      op,
      [&](const Variable& x, const Variable& t) {
        check_broadcast(op, x, t);
        const Variable losses = log_target ? mul(exp(t), sub(t, x)) : sub(xlogy(t, t), mul(t, x));
        switch (reduction) {
          case KlReduction::none: return losses;
          case KlReduction::mean: return mean(losses);
          case KlReduction::sum: return sum(losses);
          case KlReduction::batchmean: break;
        }
        check(x.dim() >= 1, op, ": batchmean needs a batch, got input ", x.shape());
        return div(sum(losses), static_cast<double>(x.size(0)));
      },
      input, target);
}

Variable gaussian_nll_loss(const Variable& input,
                           const Variable& target,
                           const Variable& var,
                           const GaussianNllOptions& options) {
  constexpr const char* op = "gaussian_nll_loss";
  check(options.eps > 0, op, ": eps must be positive, got ", options.eps);
  return computed(
      op,
      [&](const Variable& x, const Variable& t, const Variable& v) {
        check_broadcast(op, x, t);
        check_broadcast(op, x, v);
        check(!any(lt(v.tensor(), 0.0)).item(), op, ": var must not be negative");
        const Variable bounded = clamp(v, options.eps, INFINITY);
        const Variable losses = add(log(bounded), div(square(sub(x, t)), bounded));
        return reduce(affine(losses, 0.5, options.full ? 0.5 * std::log(2 * M_PI) : 0), options.reduction);
      },
      input, target, var);
}

Variable cosine_similarity(const Variable& a, const Variable& b, int64_t dim, double eps) {
  constexpr const char* op = "cosine_similarity";
  return computed(
      op,
      [&](const Variable& x, const Variable& y) {
        const Shape shape = broadcast_shapes(op, x.shape(), y.shape());
        const int d = normalize_dim(op, dim, shape.rank());
        const Variable u = expand(x, shape), v = expand(y, shape);
        const auto norm = [&](const Variable& z) { return sqrt(clamp(sum(square(z), {d}), eps * eps, INFINITY)); };
        return div(sum(mul(u, v), {d}), mul(norm(u), norm(v)));
      },
      a, b);
}

}  // namespace sfumato
