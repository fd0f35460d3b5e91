// Rows of the normalisations and of softmax ("autograd/ops/norm.h").
#include <algorithm>
#include <numeric>

#include "autograd/ops/norm.h"
#include "tensor/ops/elementwise.h"
#include "tests/ops/lines.h"

namespace sfumato::testing {
namespace {

// Statistics lose a little more than single values, and their gradients are differences.
constexpr Tolerance kStatistics{1e-5, 3e-6};
constexpr Tolerance kRounded{1.0 / 100, 1.0 / 100};

double total(const Numbers& v) { return std::accumulate(v.begin(), v.end(), 0.0); }

// (v - mean) / sqrt(var + eps).
Numbers standardized(Numbers v, double eps) {
  const auto n = static_cast<double>(v.size());
  const double mean = total(v) / n;
  double squares = 0;
  for (const double e : v) squares += (e - mean) * (e - mean);
  for (double& e : v) e = (e - mean) / std::sqrt(squares / n + eps);
  return v;
}
double silu_of(double z) { return z / (1 + std::exp(-z)); }

// x (N, C, ...) with at least `positions` positions, the U-Net's shapes among them.
Shape image_shape(Draw& d, int64_t channels, int64_t positions) {
  const bool small = d.sizes() != Sizes::any;
  const int64_t height = small ? 2 : d.size(40);
  return {d.batch(small ? 2 : 4), channels, std::max(height, positions), small ? 2 : d.size(17)};
}

// y w + b, with a weight and a bias per channel where there are any.
Tensor scaled(const Tensor& y, std::span<const Tensor> x, bool affine, bool silu) {
  Numbers values = y.to_vector();
  const auto channels = static_cast<size_t>(y.size(1));
  const size_t plane =
      channels * static_cast<size_t>(y.size(0)) == 0 ? 1 : values.size() / (channels * static_cast<size_t>(y.size(0)));
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t c = i / plane % channels;
    double z = values[i];
    if (affine) z = z * x[1].data<double>()[c] + x[2].data<double>()[c];
    values[i] = silu ? silu_of(z) : z;
  }
  return tensor_of(values, y.shape(), DType::f64);
}

std::vector<Tensor> with_affine(Draw& d, const Tensor& x, const Shape& shape, bool affine) {
  if (!affine) return {x};
  return {x, d.positive(shape), d.normal(shape)};
}
Variable maybe(Inputs x, size_t i) { return x.size() > i ? x[i] : Variable(); }

Tensor standardized_groups(const Tensor& x, int64_t groups, double eps) {
  const Tensor lines = reshape(x, {x.size(0) * groups, x.size(0) == 0 ? 1 : x.numel() / (x.size(0) * groups)});
  return reshape(by_lines(lines, 1, [=](const Numbers& v) { return standardized(v, eps); }), x.shape());
}

Row group_norm_row() {
  return {.name = "group_norm",
          .draw =
              [](Draw& d) {
                const bool small = d.sizes() != Sizes::any;
                const bool unet = !small && d.chance(0.05);
                const int64_t groups = unet ? 32
                                            : d.pick<int64_t>(small ? std::initializer_list<int64_t>{1, 2}
                                                                    : std::initializer_list<int64_t>{1, 2, 3, 8});
                const int64_t channels = groups * (small ? d.integer(1, 2) : d.pick<int64_t>({1, 2, 3, 5}));
                const Shape shape = unet ? Shape{2, 128, 16, 16} : image_shape(d, channels, 3);
                const bool affine = d.chance(0.7), activation = d.chance();
                const GroupNormOptions o{.num_groups = groups, .eps = d.pick({1e-5, 1e-3}), .silu = activation};
                return Sample{.inputs = with_affine(d, d.normal(shape), {shape[1]}, affine),
                              .call = [=](Inputs x) { return group_norm(x[0], maybe(x, 1), maybe(x, 2), o); },
                              .formula =
                                  [=](std::span<const Tensor> x) {
                                    return scaled(standardized_groups(x[0], o.num_groups, o.eps), x, affine,
                                                  activation);
                                  }};
              },
          .misuses = {{"6 channels of input (2, 6) do not divide into 4 groups",
                       [] {
                         group_norm(f32_of({2, 6}), {}, {}, {.num_groups = 4});
                       }},
                      {"num_groups must be at least 1, got 0",
                       [] {
                         group_norm(f32_of({2, 6}), {}, {}, {.num_groups = 0});
                       }},
                      {"input must be (N, C, ...), got (6,)", [] { group_norm(f32_of({6}), {}, {}, {}); }},
                      {"weight has shape (5,)",
                       [] {
                         group_norm(f32_of({2, 6}), f32_of({5}), {}, {});
                       }},
                      {"bias is f64 but the input is f32",
                       [] {
                         group_norm(f32_of({2, 6}), {}, ones({6}, DType::f64), {});
                       }}},
          .f32 = kStatistics,
          .bf16 = kRounded};
}

Row group_norm_backward_row() {
  return {
      .name = "group_norm_backward",
      .draw =
          [](Draw& d) {
            const Shape shape = image_shape(d, 6, 3);
            const GroupNormOptions o{.num_groups = 2};
            return Sample{
                .inputs = {d.normal(shape), d.normal(shape), d.positive({6})}, .call = [=](Inputs x) {
                  // Statistics exist for floats alone; what refuses the others shall be the backward pass.
                  GroupNormResult r{{}, zeros({shape[0], 2}), zeros({shape[0], 2})};
                  if (is_floating(x[1].dtype())) r = group_norm(x[1].tensor(), x[2].tensor(), {}, o);
                  return Variable(
                      group_norm_backward(x[0].tensor(), x[1].tensor(), r.mean, r.rstd, x[2].tensor(), {}, o).dx);
                }};
          },
      .misuses = {{"dy has shape (2, 6)",
                   [] {
                     group_norm_backward(f32_of({2, 6}), f32_of({2, 6, 4}), f32_of({2, 1}), f32_of({2, 1}), {}, {}, {});
                   }},
                  {"mean has shape (2, 2) where (2, 1) belongs",
                   [] {
                     group_norm_backward(f32_of({2, 6}), f32_of({2, 6}), f32_of({2, 2}), f32_of({2, 1}), {}, {}, {});
                   }}},
      .differentiable = false,
      .f32 = {1e-4, 1e-5}};  // what is left of two terms that cancel
}

// Norms over the last dimensions.
struct Trailing {
  Shape shape, normalized;
};
Trailing trailing(Draw& d) {
  const bool small = d.sizes() != Sizes::any;
  const int64_t width = small ? 4 : std::max<int64_t>(8, d.size());
  if (d.chance(0.3)) return {{d.batch(), 3, width}, {3, width}};
  if (d.chance(0.3)) return {{d.batch(small ? 2 : 8), small ? 1 : d.size(9), width}, {width}};
  return {{d.batch(), width}, {width}};
}

Tensor by_trailing(const Tensor& x, const Shape& normalized, const std::function<Numbers(Numbers)>& f) {
  const int64_t n = normalized.numel();
  return reshape(by_lines(reshape(x, {x.numel() / n, n}), 1, f), x.shape());
}

std::vector<Row> trailing_rows() {
  std::vector<Row> rows;
  rows.push_back({.name = "layer_norm",
                  .draw =
                      [](Draw& d) {
                        const Trailing at = trailing(d);
                        const bool affine = d.chance(0.7);
                        return Sample{
                            .inputs = with_affine(d, d.normal(at.shape), at.normalized, affine),
                            .call = [=](Inputs x) { return layer_norm(x[0], at.normalized, maybe(x, 1), maybe(x, 2)); },
                            .formula =
                                [=](std::span<const Tensor> x) {
                                  const Tensor y = by_trailing(x[0], at.normalized,
                                                               [](const Numbers& v) { return standardized(v, 1e-5); });
                                  return affine ? y * x[1] + x[2] : y;
                                }};
                      },
                  .misuses = {{"input (2, 3) does not end in normalized_shape (2,)",
                               [] {
                                 layer_norm(f32_of({2, 3}), {2});
                               }},
                              {"does not end in normalized_shape ()",
                               [] {
                                 layer_norm(f32_of({2, 3}), {});
                               }},
                              {"weight has shape (2,)",
                               [] {
                                 layer_norm(f32_of({2, 3}), {3}, f32_of({2}));
                               }},
                              {"bias is f64 but the input is f32",
                               [] {
                                 layer_norm(f32_of({2, 3}), {3}, {}, ones({3}, DType::f64));
                               }}},
                  .f32 = kStatistics,
                  .bf16 = kRounded});
  rows.push_back({.name = "rms_norm",
                  .draw =
                      [](Draw& d) {
                        const Trailing at = trailing(d);
                        const bool affine = d.chance();
                        std::vector<Tensor> inputs = with_affine(d, d.normal(at.shape), at.normalized, affine);
                        inputs.resize(affine ? 2 : 1);
                        return Sample{
                            .inputs = inputs,
                            .call = [=](Inputs x) { return rms_norm(x[0], at.normalized, maybe(x, 1), 1e-5); },
                            .formula =
                                [=](std::span<const Tensor> x) {
                                  const Tensor y = by_trailing(x[0], at.normalized, [](Numbers v) {
                                    double squares = 0;
                                    for (const double e : v) squares += e * e;
                                    for (double& e : v) {
                                      e /= std::sqrt(squares / static_cast<double>(v.size()) + 1e-5);
                                    }
                                    return v;
                                  });
                                  return affine ? y * x[1] : y;
                                }};
                      },
                  .misuses = {{"does not end in normalized_shape (2,)",
                               [] {
                                 rms_norm(f32_of({2, 3}), {2});
                               }},
                              {"weight has shape (2,)",
                               [] {
                                 rms_norm(f32_of({2, 3}), {3}, f32_of({2}));
                               }}},
                  .f32 = kStatistics,
                  .bf16 = kRounded});
  return rows;
}

// Channels become lines: (N, C, H, W) seen as (C, N, H, W).
Tensor standardized_channels(const Tensor& x, double eps) {
  const Tensor channels = transpose(x, 0, 1).contiguous();
  return transpose(standardized_groups(channels, 1, eps), 0, 1).contiguous();
}

std::vector<Row> channel_rows() {
  std::vector<Row> rows;
  rows.push_back(
      {.name = "batch_norm",
       .draw =
           [](Draw& d) {
             const int64_t channels = d.sizes() == Sizes::any ? d.size(20) : 2;
             const Shape shape = image_shape(d, channels, 2);
             const bool affine = d.chance(0.7);
             if (d.chance()) {
               return Sample{
                   .inputs = with_affine(d, d.normal(shape), {channels}, affine),
                   .call =
                       [=](Inputs x) { return batch_norm(x[0], {}, {}, maybe(x, 1), maybe(x, 2), {.training = true}); },
                   .formula =
                       [=](std::span<const Tensor> x) {
                         return scaled(standardized_channels(x[0], 1e-5), x, affine, false);
                       }};
             }
             const Tensor mean = d.normal({channels}), var = d.positive({channels});
             return Sample{.inputs = with_affine(d, d.normal(shape), {channels}, affine),
                           .call =
                               [=](Inputs x) {
                                 const DType dtype = x[0].dtype();
                                 return batch_norm(x[0], mean.to(dtype), var.to(dtype), maybe(x, 1), maybe(x, 2),
                                                   {.eps = 1e-3});
                               },
                           .formula =
                               [=](std::span<const Tensor> x) {
                                 const Shape beside{1, channels, 1, 1};
                                 const Tensor y = (x[0] - reshape(mean, beside)) / sqrt(reshape(var, beside) + 1e-3);
                                 return scaled(y, x, affine, false);
                               }};
           },
       .misuses = {{"input must be (N, C, ...), got (3,)", [] { batch_norm(f32_of({3}), {}, {}); }},
                   {"without training running_mean must be given",
                    [] {
                      batch_norm(f32_of({2, 3}), {}, {});
                    }},
                   {"running_var must be (3,)",
                    [] {
                      batch_norm(f32_of({2, 3}), f32_of({3}), f32_of({2}));
                    }},
                   {"more than one value per channel",
                    [] {
                      batch_norm(f32_of({1, 3}), {}, {}, {}, {}, {.training = true});
                    }},
                   {"weight has shape (2,)",
                    [] {
                      batch_norm(f32_of({2, 3}), {}, {}, f32_of({2}), {}, {.training = true});
                    }}},
       .f32 = kStatistics,
       .bf16 = kRounded});
  rows.push_back({.name = "instance_norm",
                  .draw =
                      [](Draw& d) {
                        const int64_t channels = d.sizes() == Sizes::any ? d.size(20) : 2;
                        const Shape shape = image_shape(d, channels, 3);
                        const bool affine = d.chance(0.7);
                        return Sample{.inputs = with_affine(d, d.normal(shape), {channels}, affine),
                                      .call = [=](Inputs x) { return instance_norm(x[0], maybe(x, 1), maybe(x, 2)); },
                                      .formula =
                                          [=](std::span<const Tensor> x) {
                                            return scaled(standardized_groups(x[0], channels, 1e-5), x, affine, false);
                                          }};
                      },
                  .misuses = {{"more than one position per channel",
                               [] {
                                 instance_norm(f32_of({2, 3, 1}));
                               }},
                              {"bias has shape (2,)",
                               [] {
                                 instance_norm(f32_of({2, 3, 4}), {}, f32_of({2}));
                               }}},
                  .f32 = kStatistics,
                  .bf16 = kRounded});
  rows.push_back({.name = "normalize",
                  .draw =
                      [](Draw& d) {
                        auto [shape, dim] = axis(d);
                        if (shape.rank() == 0 || shape[normalize_dim("normalize", dim, shape.rank())] == 1) {
                          shape = {3, 2};  // a line of one becomes 1 or -1, and its gradient is a rounding of 0
                          dim = -1;
                        }
                        const double p = d.pick({2.0, 1.0, 3.0});
                        return Sample{.inputs = {d.off_zero(shape)},
                                      .call = [=, dim = dim](Inputs x) { return normalize(x[0], p, dim); },
                                      .formula =
                                          [=, dim = dim](std::span<const Tensor> x) {
                                            return by_lines(x[0], dim, [=](Numbers v) {
                                              double sum = 0;
                                              for (const double e : v) sum += std::pow(std::abs(e), p);
                                              for (double& e : v) e /= std::pow(sum, 1 / p);
                                              return v;
                                            });
                                          }};
                      },
                  .misuses = {{"dim 2 is out of range",
                               [] {
                                 normalize(f32_of({2, 3}), 2, 2);
                               }}},
                  .f32 = kStatistics});
  return rows;
}

Numbers softmax_of(Numbers v) {
  for (double& e : v) e = std::exp(e);
  const double sum = total(v);
  for (double& e : v) e /= sum;
  return v;
}

std::vector<Row> softmax_rows() {
  using Along = Variable (*)(const Variable&, int64_t);
  const auto along = [](const char* name, Along f, Numbers (*line)(Numbers)) {
    return Row{.name = name,
               .draw =
                   [=](Draw& d) {
                     const auto [shape, dim] = axis(d);
                     return Sample{
                         .inputs = {d.uniform(shape, -4, 4)},
                         .call = [=, dim = dim](Inputs x) { return f(x[0], dim); },
                         .formula = [=, dim = dim](std::span<const Tensor> x) { return by_lines(x[0], dim, line); }};
                   },
               .misuses = {{"dim 2 is out of range", [f] {
                              f(f32_of({2, 3}), 2);
                            }}}};
  };
  std::vector<Row> rows{along("softmax", softmax, softmax_of), along("log_softmax", log_softmax, [](Numbers v) {
                          Numbers p = softmax_of(std::move(v));
                          for (double& e : p) e = std::log(e);
                          return p;
                        })};
  // The derivative's tolerance is that of p - 1, which cancels.
  rows.push_back({.name = "softmax_backward",
                  .draw =
                      [](Draw& d) {
                        const auto [shape, dim] = axis(d);
                        return Sample{.inputs = {d.positive(shape), d.normal(shape)},
                                      .call =
                                          [dim = dim](Inputs x) {
                                            return Variable(softmax_backward(x[0].tensor(), x[1].tensor(), dim));
                                          },
                                      .formula =
                                          [dim = dim](std::span<const Tensor> x) {
                                            const Tensor dot = by_lines(x[0] * x[1], dim, [](Numbers v) {
                                              const double sum = total(v);
                                              for (double& e : v) e = sum;
                                              return v;
                                            });
                                            return x[0] * (x[1] - dot);
                                          }};
                      },
                  .misuses = {{"dy has shape (3,)", [] { softmax_backward(f32_of({2}), f32_of({3}), 0); }}},
                  .differentiable = false,
                  .f32 = {1e-5, 4e-6}});
  return rows;
}

}  // namespace

std::vector<Row> norm_rows() {
  std::vector<Row> rows{group_norm_row(), group_norm_backward_row()};
  for (auto family : {trailing_rows, channel_rows, softmax_rows}) {
    for (Row& row : family()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sfumato::testing
