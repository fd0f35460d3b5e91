// Rows of losses ("autograd/ops/loss.h").
#include <algorithm>

#include "autograd/ops/loss.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Values = std::span<const Tensor>;
using Formula = std::function<Tensor(Values)>;

Reduction reduction_of(Draw& d) {
  // The mean of nothing is NaN, as it should be; it has tests of its own.
  return d.sizes() == Sizes::empty ? d.pick({Reduction::none, Reduction::sum})
                                   : d.pick({Reduction::none, Reduction::mean, Reduction::sum});
}

Tensor reduced(const Tensor& losses, Reduction reduction, double divisor) {
  if (reduction == Reduction::none) return losses;
  double total = 0;
  for (const double value : losses.to_vector()) total += value;
  return tensor_of({reduction == Reduction::mean ? total / divisor : total}, {}, DType::f64);
}
Formula reduced(Formula each, Reduction reduction) {
  return [=](Values x) {
    const Tensor losses = each(x);
    return reduced(losses, reduction, static_cast<double>(losses.numel()));
  };
}

// Sums of many terms of both signs: judged by what cancels.
constexpr Tolerance kLoss{1e-5, 1e-6};

template <class F>
Row distance(const char* name, F f, std::function<double(double)> formula, Misuse misuse) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                const Draw::Pair shapes = d.broadcast_pair();
                const Reduction reduction = reduction_of(d);
                // Differences are odd eighths: never at a kink.
                const Tensor a = d.uniform(shapes.a, -4, 4), b = d.uniform(shapes.b, -4, 4);
                const auto grid = [](const Tensor& t, double shift) { return affine(round(t * 4.0), 0.25, shift); };
                return Sample{
                    .inputs = {grid(a, 0), grid(b, 0.125)},
                    .call = [=](Inputs x) { return f(x[0], x[1], reduction); },
                    .formula = reduced(each_pair([=](double x, double y) { return formula(x - y); }), reduction)};
              },
          .misuses = {{"do not broadcast", [=] { f(f32_of({3}), f32_of({2}), Reduction::mean); }}, std::move(misuse)},
          .f32 = kLoss};
}

double smooth(double d, double beta) { return std::abs(d) < beta ? d * d / (2 * beta) : std::abs(d) - beta / 2; }

// -sum_c w_c t_c log softmax(x)_c at every place of (N, C, rest), for target probabilities of that shape.
Tensor class_losses(const Tensor& log_p, const std::vector<double>& weight, const Tensor& target) {
  Shape shape = log_p.shape();
  const int64_t classes = shape[1], inner = shape.numel() == 0 ? 0 : shape.numel() / shape[0] / classes;
  shape.erase(1);
  Tensor out = zeros(shape, DType::f64);
  const auto values = log_p.to_vector(), shares = target.to_vector();
  for (int64_t i = 0; i < out.numel(); ++i) {
    double sum = 0;
    for (int64_t c = 0; c < classes; ++c) {
      const auto at = static_cast<size_t>((i / inner * classes + c) * inner + i % inner);
      sum -= shares[at] == 0 ? 0 : weight[static_cast<size_t>(c)] * shares[at] * values[at];
    }
    out.mutable_data<double>()[i] = sum;
  }
  return out;
}

Tensor log_softmax_formula(const Tensor& x) {
  const int64_t classes = x.size(1), inner = x.numel() == 0 ? 1 : x.numel() / x.size(0) / classes;
  auto values = x.to_vector();
  for (int64_t i = 0; i < x.numel() / classes; ++i) {
    const auto at = [&](int64_t c) -> double& {
      return values[static_cast<size_t>((i / inner * classes + c) * inner + i % inner)];
    };
    double total = 0;
    for (int64_t c = 0; c < classes; ++c) total += std::exp(at(c));
    for (int64_t c = 0; c < classes; ++c) at(c) -= std::log(total);
  }
  return tensor_of(values, x.shape(), DType::f64);
}

// Class indices with every option, as PyTorch defines them.
Sample draw_classes(Draw& d, bool is_nll) {
  const int64_t classes = d.integer(2, 5);
  Shape shape{d.batch(7), classes};
  for (int64_t extra = d.integer(0, 2); extra > 0; --extra) shape.push_back(d.size(3));
  Shape target_shape = shape;
  target_shape.erase(1);
  const Tensor target = d.indices(target_shape, classes).to(d.pick({DType::i64, DType::i32}));
  CrossEntropyOptions o{.ignore_index = d.pick({-100, 1}), .reduction = reduction_of(d)};
  if (d.chance()) o.weight = d.positive({classes});
  if (!is_nll && d.chance()) o.label_smoothing = 0.25;
  const auto labels = target.to_vector();
  if (std::all_of(labels.begin(), labels.end(), [](double label) { return label == 1; })) o.ignore_index = -100;
  const Formula formula = [=](Values x) {
    const std::vector<double> weight =
        o.weight.defined() ? o.weight.to_vector() : std::vector<double>(static_cast<size_t>(classes), 1.0);
    Tensor shares = zeros(shape, DType::f64);
    const int64_t inner = shape.numel() == 0 ? 1 : shape.numel() / shape[0] / classes;
    double divisor = 0;
    for (int64_t i = 0; i < target.numel(); ++i) {
      const auto label = static_cast<int64_t>(labels[static_cast<size_t>(i)]);
      if (label == o.ignore_index) continue;
      divisor += weight[static_cast<size_t>(label)];
      for (int64_t c = 0; c < classes; ++c) {
        shares.mutable_data<double>()[(i / inner * classes + c) * inner + i % inner] =
            (c == label ? 1 - o.label_smoothing : 0) + o.label_smoothing / static_cast<double>(classes);
      }
    }
    return reduced(class_losses(is_nll ? x[0] : log_softmax_formula(x[0]), weight, shares), o.reduction, divisor);
  };
  return {.inputs = {d.normal(shape)},
          .call =
              [=](Inputs x) {
                return is_nll ? nll_loss(x[0], target,
                                         {.weight = o.weight, .ignore_index = o.ignore_index, .reduction = o.reduction})
                              : cross_entropy(x[0], target, o);
              },
          .formula = formula};
}

Sample draw_cross_entropy(Draw& d) {
  if (d.chance(0.7)) return draw_classes(d, false);
  const Shape shape{d.batch(7), d.integer(2, 5), d.size(3)};
  const CrossEntropyOptions o{
      .weight = d.positive({shape[1]}), .label_smoothing = d.pick({0.0, 0.25}), .reduction = reduction_of(d)};
  return {.inputs = {d.normal(shape), d.uniform(shape, 0.1, 0.9)},
          .call = [=](Inputs x) { return cross_entropy(x[0], x[1], o); },
          .formula =
              [=](Values x) {
                const Tensor shares =
                    affine(x[1], 1 - o.label_smoothing, o.label_smoothing / static_cast<double>(shape[1]));
                return reduced(class_losses(log_softmax_formula(x[0]), o.weight.to_vector(), shares), o.reduction,
                               static_cast<double>(shape[0] * shape[2]));
              }};
}

std::vector<Row> class_rows() {
  const Tensor x = f32_of({2, 3}), labels = zeros({2}, DType::i64);
  return {
      {.name = "cross_entropy",
       .draw = draw_cross_entropy,
       .misuses = {{"(N, classes, ...) and target (N, ...)", [=] { cross_entropy(x, zeros({3}, DType::i64)); }},
                   {"targets must be in 0..2", [=] { cross_entropy(x, full({2}, 3, DType::i64)); }},
                   {"one entry for each of the 3 classes", [=] { cross_entropy(x, labels, {.weight = f32_of({2})}); }},
                   {"label_smoothing must be in [0, 1]", [=] { cross_entropy(x, labels, {.label_smoothing = 2}); }},
                   {"must have the input's shape", [=] { cross_entropy(x, f32_of({2})); }}},
       .f32 = kLoss},
      {.name = "nll_loss",
       .draw = [](Draw& d) { return draw_classes(d, true); },
       .misuses = {{"target (N, ...)", [=] { nll_loss(x, zeros({3}, DType::i64)); }},
                   {"not defined for dtype f32", [=] { nll_loss(x, f32_of({2})); }}},
       .f32 = kLoss}};
}

Sample draw_bce(Draw& d, bool logits) {
  const Shape shape = d.shape(1);
  const Reduction reduction = reduction_of(d);
  const Tensor weight = d.chance() ? d.positive({shape[shape.rank() - 1]}) : Tensor();
  const Tensor positive = logits && d.chance() ? d.positive({shape[shape.rank() - 1]}) : Tensor();
  const auto last = static_cast<size_t>(std::max<int64_t>(shape[shape.rank() - 1], 1));
  return {.inputs = {logits ? d.uniform(shape, -4, 4) : d.uniform(shape, 0.1, 0.9), d.uniform(shape, 0.1, 0.9)},
          .call =
              [=](Inputs x) {
                return logits ? binary_cross_entropy_with_logits(x[0], x[1], weight, positive, reduction)
                              : binary_cross_entropy(x[0], x[1], weight, reduction);
              },
          .formula = reduced(
              [=](Values x) {
                const auto p = x[0].to_vector(), t = x[1].to_vector();
                std::vector<double> out(p.size());
                for (size_t i = 0; i < p.size(); ++i) {
                  const double probability = logits ? 1 / (1 + std::exp(-p[i])) : p[i];
                  const double factor = positive.defined() ? positive.to_vector()[i % last] : 1;
                  out[i] = -(factor * t[i] * std::log(probability) + (1 - t[i]) * std::log(1 - probability)) *
                           (weight.defined() ? weight.to_vector()[i % last] : 1);
                }
                return tensor_of(out, shape, DType::f64);
              },
              reduction)};
}

Sample draw_kl(Draw& d) {
  const Shape shape = d.shape(1);
  const bool logs = d.chance();
  const auto reduction = d.sizes() == Sizes::empty
                             ? KlReduction::sum
                             : d.pick({KlReduction::none, KlReduction::mean, KlReduction::sum, KlReduction::batchmean});
  const Formula each =
      each_pair([=](double x, double t) { return logs ? std::exp(t) * (t - x) : t * (std::log(t) - x); });
  return {.inputs = {d.uniform(shape, -3, -0.1), logs ? d.uniform(shape, -3, -0.1) : d.uniform(shape, 0.1, 0.9)},
          .call = [=](Inputs x) { return kl_div(x[0], x[1], reduction, logs); },
          .formula =
              [=](Values x) {
                const Tensor losses = each(x);
                return reduced(losses,
                               reduction == KlReduction::none  ? Reduction::none
                               : reduction == KlReduction::sum ? Reduction::sum
                                                               : Reduction::mean,
                               static_cast<double>(reduction == KlReduction::batchmean ? shape[0] : losses.numel()));
              }};
}

Sample draw_gaussian(Draw& d) {
  const Shape shape = d.shape();
  const GaussianNllOptions o{.full = d.chance(), .reduction = reduction_of(d)};
  return {.inputs = {d.normal(shape), d.normal(shape), d.positive(shape)},
          .call = [=](Inputs x) { return gaussian_nll_loss(x[0], x[1], x[2], o); },
          .formula = reduced(
              [=](Values x) {
                const auto a = x[0].to_vector(), b = x[1].to_vector(), v = x[2].to_vector();
                std::vector<double> out(a.size());
                for (size_t i = 0; i < a.size(); ++i) {
                  const double error = a[i] - b[i];
                  out[i] = 0.5 * (std::log(v[i]) + error * error / v[i] + (o.full ? std::log(2 * M_PI) : 0));
                }
                return tensor_of(out, shape, DType::f64);
              },
              o.reduction)};
}

Sample draw_cosine(Draw& d) {
  const int64_t n = d.batch(9), depth = 1 + d.size(33), m = d.size(5);
  return {.inputs = {d.off_zero({n, depth, m}), d.off_zero({n, depth, m})},
          .call = [](Inputs x) { return cosine_similarity(x[0], x[1], 1); },
          .formula =
              [=](Values x) {
                const auto a = x[0].to_vector(), b = x[1].to_vector();
                Tensor out = empty({n, m}, DType::f64);
                for (int64_t i = 0; i < n * m; ++i) {
                  double ab = 0, aa = 0, bb = 0;
                  for (int64_t k = 0; k < depth; ++k) {
                    const auto at = static_cast<size_t>((i / m * depth + k) * m + i % m);
                    ab += a[at] * b[at];
                    aa += a[at] * a[at];
                    bb += b[at] * b[at];
                  }
                  out.mutable_data<double>()[i] = ab / std::sqrt(aa * bb);
                }
                return out;
              }};
}

std::vector<Row> probability_rows() {
  const Tensor a = f32_of({2, 3}), b = f32_of({3});
  return {
      {.name = "binary_cross_entropy",
       .draw = [](Draw& d) { return draw_bce(d, false); },
       .misuses = {{"target has shape (3,)", [=] { binary_cross_entropy(a, b); }},
                   {"must lie in [0, 1]", [=] { binary_cross_entropy(a * 2.0, a); }}},
       .f32 = kLoss},
      {.name = "binary_cross_entropy_with_logits",
       .draw = [](Draw& d) { return draw_bce(d, true); },
       .misuses = {{"target has shape (3,)", [=] { binary_cross_entropy_with_logits(a, b); }}},
       .f32 = kLoss},
      {.name = "kl_div",
       .draw = draw_kl,
       .misuses = {{"do not broadcast", [=] { kl_div(a, f32_of({2})); }},
                   {"batchmean needs a batch", [] { kl_div(f32_of({}), f32_of({}), KlReduction::batchmean); }}},
       .f32 = kLoss},
      {.name = "gaussian_nll_loss",
       .draw = draw_gaussian,
       .misuses = {{"eps must be positive", [=] { gaussian_nll_loss(a, a, a, {.eps = 0}); }},
                   {"var must not be negative", [=] { gaussian_nll_loss(a, a, a * -1.0); }},
                   {"do not broadcast", [=] { gaussian_nll_loss(a, a, f32_of({2})); }}},
       .f32 = kLoss},
      {.name = "cosine_similarity",
       .draw = draw_cosine,
       .misuses = {{"do not broadcast", [=] { cosine_similarity(a, f32_of({2})); }}},
       .f32 = kLoss},
  };
}

}  // namespace

std::vector<Row> loss_rows() {
  const Tensor a = f32_of({2});
  std::vector<Row> rows{
      distance(
          "mse_loss", [](auto&&... x) { return mse_loss(x...); }, [](double d) { return d * d; },
          {"undefined", [=] { mse_loss(a, Variable()); }}),
      distance(
          "l1_loss", [](auto&&... x) { return l1_loss(x...); }, [](double d) { return std::abs(d); },
          {"undefined", [=] { l1_loss(Variable(), a); }}),
      distance(
          "smooth_l1_loss",
          [](const Variable& x, const Variable& y, Reduction r) { return smooth_l1_loss(x, y, 0.5, r); },
          [](double d) { return smooth(d, 0.5); },
          {"beta must not be negative, got -1", [=] { smooth_l1_loss(a, a, -1.0); }}),
      distance(
          "huber_loss", [](const Variable& x, const Variable& y, Reduction r) { return huber_loss(x, y, 1.5, r); },
          [](double d) { return 1.5 * smooth(d, 1.5); },
          {"delta must be positive, got 0", [=] { huber_loss(a, a, 0.0); }}),
  };
  for (auto family : {class_rows, probability_rows}) {
    for (Row& row : family()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sfumato::testing
