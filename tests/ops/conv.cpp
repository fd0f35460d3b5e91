// Rows of convolutions ("autograd/ops/conv.h"). Their kernels' special cases (Winograd, empty sizes) are in
// conv_test.cpp.
#include <algorithm>

#include "autograd/ops/conv.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Values = std::span<const Tensor>;

struct Problem {
  Shape x, weight;
  Conv2dOptions o;
};

// Calls f(n, k, c, y pixel, x pixel, tap) with flat places for every product of the convolution.
template <class F>
void for_each_product(const Problem& problem, const Shape& y, F&& f) {
  const auto& [x, w, o] = problem;
  for (int64_t n = 0; n < y[0]; ++n)
    for (int64_t k = 0; k < y[1]; ++k)
      for (int64_t p = 0; p < y[2]; ++p)
        for (int64_t q = 0; q < y[3]; ++q)
          for (int64_t c = 0; c < w[1]; ++c)
            for (int64_t r = 0; r < w[2]; ++r)
              for (int64_t s = 0; s < w[3]; ++s) {
                const int64_t channel = k / (w[0] / o.groups) * w[1] + c;
                const int64_t h = p * o.stride.height + r * o.dilation.height - o.padding.height;
                const int64_t v = q * o.stride.width + s * o.dilation.width - o.padding.width;
                if (h < 0 || h >= x[2] || v < 0 || v >= x[3]) continue;
                f(((n * y[1] + k) * y[2] + p) * y[3] + q, ((n * x[1] + channel) * x[2] + h) * x[3] + v,
                  ((k * w[1] + c) * w[2] + r) * w[3] + s);
              }
}

// One of x, weight and y (places 0, 1, 2) from the other two, in that order.
Tensor formula(const Problem& problem, int wanted, Values given) {
  const Shape y = wanted == 2   ? conv2d_output_shape(problem.x, problem.weight, problem.o)
                  : wanted == 1 ? given[1].shape()
                                : given[0].shape();
  Tensor out = zeros(wanted == 0 ? problem.x : wanted == 1 ? problem.weight : y, DType::f64);
  double* to = out.mutable_data<double>();
  const Tensor first = given[0].contiguous(), second = given[1].contiguous();
  const double *a = first.data<double>(), *b = second.data<double>();
  for_each_product(problem, y, [&](int64_t at_y, int64_t at_x, int64_t tap) {
    if (wanted == 0) to[at_x] += a[at_y] * b[tap];
    if (wanted == 1) to[tap] += a[at_x] * b[at_y];
    if (wanted == 2) to[at_y] += a[at_x] * b[tap];
  });
  return out;
}

Tensor plus_bias(Tensor y, Values inputs) {
  if (inputs.size() < 3) return y;
  double* values = y.mutable_data<double>();
  const int64_t pixels = y.size(2) * y.size(3);
  for (int64_t i = 0; i < y.numel(); ++i)
    values[i] += inputs[2].to_vector()[static_cast<size_t>(i / pixels % y.size(1))];
  return y;
}

Pair2d pair(Draw& d, int64_t low, int64_t high) {
  return d.chance(0.7) ? Pair2d(d.integer(low, high)) : Pair2d(d.integer(low, high), d.integer(low, high));
}

// Channel counts 1 and 3 and others that are no multiple of a vector; kernels of every shape; now and then the U-Net's.
Problem draw_problem(Draw& d) {
  Problem p;
  if (d.sizes() == Sizes::any && d.chance(0.05)) {
    const int64_t in = d.pick({1, 3, 32}), out = d.pick({1, 3, 32});
    p.x = {1, in, 32, 32};
    p.weight = {out, in, 3, 3};
    p.o = {.stride = d.pick({1, 2}), .padding = 1};
    return p;
  }
  const bool small = d.sizes() != Sizes::any;
  p.o.groups = d.chance(0.25) ? 2 : 1;
  const int64_t in = small ? d.integer(1, 2) : d.pick({1, 3, 5, 16, 18}),
                out = small ? d.integer(1, 2) : d.pick({1, 3, 7, 16, 17});
  const Pair2d kernel = d.chance(0.5) && !small ? Pair2d(3) : pair(d, 1, 3);
  p.o.stride = pair(d, 1, 2);
  p.o.dilation = d.chance(0.3) ? pair(d, 1, 2) : Pair2d(1);
  p.o.padding = d.chance() && kernel == Pair2d(3) ? Pair2d(1) : pair(d, 0, 2);
  if (d.chance(0.2)) p.o.padding_end = pair(d, 0, 2);
  const int64_t least = 5, most = small ? 5 : 11;
  p.x = {d.batch(3), in * p.o.groups, d.integer(least, most), d.integer(least, most)};
  p.weight = {out * p.o.groups, in, kernel.height, kernel.width};
  if (small) p.x[0] = std::min<int64_t>(p.x[0], 1);
  return p;
}

// Sums of up to 9 * 32 products in f32, by Winograd's transforms where they apply (error about 1e-6 of the largest).
constexpr Tolerance kConvolution{4e-6, 1e-5};

Row convolution(const char* name, std::function<Sample(Draw&)> draw, std::vector<Misuse> misuses) {
  return {
      .name = name, .draw = std::move(draw), .misuses = std::move(misuses), .f32 = kConvolution, .by_library = true};
}

Variable optional_bias(Inputs in) { return in.size() > 2 ? in[2] : Variable(); }

Sample draw_conv2d(Draw& d) {
  const Problem p = draw_problem(d);
  std::vector<Tensor> inputs{d.normal(p.x), d.normal(p.weight)};
  if (d.chance()) inputs.push_back(d.normal({p.weight[0]}));
  return {.inputs = inputs,
          .call = [=](Inputs in) { return conv2d(in[0], in[1], optional_bias(in), p.o); },
          .formula = [=](Values in) { return plus_bias(formula(p, 2, in), in); }};
}

Sample draw_backward_input(Draw& d) {
  const Problem p = draw_problem(d);
  return {.inputs = {d.normal(conv2d_output_shape(p.x, p.weight, p.o)), d.normal(p.weight)},
          .call = [=](Inputs in) { return conv2d_backward_input(in[0], in[1], p.x, p.o); },
          .formula = [=](Values in) { return formula(p, 0, in); }};
}

Sample draw_backward_weight(Draw& d) {
  const Problem p = draw_problem(d);
  return {.inputs = {d.normal(p.x), d.normal(conv2d_output_shape(p.x, p.weight, p.o))},
          .call = [=](Inputs in) { return conv2d_backward_weight(in[0], in[1], p.weight, p.o); },
          .formula = [=](Values in) { return formula(p, 1, in); }};
}

// The transposed convolution is the input gradient of one whose x is the output here.
Sample draw_transposed(Draw& d) {
  Problem p = draw_problem(d);
  p.o.padding_end = -1;
  ConvTranspose2dOptions o{
      .stride = p.o.stride, .padding = d.integer(0, 1), .dilation = p.o.dilation, .groups = p.o.groups};
  if (o.stride == Pair2d(2) || o.dilation == Pair2d(2)) o.output_padding = d.integer(0, 1);
  const bool large = p.x[2] > 11;
  const Shape x{p.x[0], p.weight[0], large ? 16 : d.integer(3, 5), large ? 16 : d.integer(3, 5)};
  std::vector<Tensor> inputs{d.normal(x), d.normal(p.weight)};
  if (d.chance()) inputs.push_back(d.normal({p.weight[1] * o.groups}));
  return {.inputs = inputs,
          .call = [=](Inputs in) { return conv_transpose2d(in[0], in[1], optional_bias(in), o); },
          .formula =
              [=](Values in) {
                const Problem forward{conv_transpose2d_output_shape(x, p.weight, o), p.weight, o.conv()};
                return plus_bias(formula(forward, 0, in), in);
              }};
}

Sample draw_conv1d(Draw& d) {
  const int64_t groups = d.pick({1, 2}), in = d.size(5), out = d.size(5), taps = d.integer(1, 3);
  const Conv1dOptions o{
      .stride = d.integer(1, 2), .padding = d.integer(0, 2), .dilation = d.integer(1, 2), .groups = groups};
  const Shape x{d.batch(3), in * groups, d.integer(5, 13)}, w{out * groups, in, taps};
  const Problem p{{x[0], x[1], 1, x[2]},
                  {w[0], w[1], 1, w[2]},
                  {.stride = {1, o.stride}, .padding = {0, o.padding}, .dilation = {1, o.dilation}, .groups = groups}};
  return {.inputs = {d.normal(x), d.normal(w)},
          .call = [=](Inputs i) { return conv1d(i[0], i[1], {}, o); },
          .formula =
              [=](Values i) {
                const Tensor y = formula(p, 2, i);
                return y.reshape({y.size(0), y.size(1), y.size(3)});
              }};
}

Sample draw_transposed1d(Draw& d) {
  const int64_t in = d.size(5), out = d.size(5), taps = d.integer(2, 3), stride = d.integer(1, 2);
  const ConvTranspose1dOptions o{.stride = stride, .padding = d.integer(0, 1), .output_padding = stride - 1};
  const Shape x{d.batch(3), in, d.integer(3, 9)}, w{in, out, taps};
  const Conv2dOptions forward{.stride = {1, stride}, .padding = {0, o.padding}};
  return {.inputs = {d.normal(x), d.normal(w)},
          .call = [=](Inputs i) { return conv_transpose1d(i[0], i[1], {}, o); },
          .formula =
              [=](Values i) {
                const int64_t length = (x[2] - 1) * stride - 2 * o.padding + taps + o.output_padding;
                const Tensor rows[] = {i[0].reshape({x[0], in, 1, x[2]}), i[1]};
                const Tensor y = formula({{x[0], out, 1, length}, {in, out, 1, taps}, forward}, 0, rows);
                return y.reshape({x[0], out, length});
              }};
}

// Unfolding convolves with kernels that pick one tap each; folding is the input gradient of that.
Tensor picking_weight(int64_t channels, int64_t taps_h, int64_t taps_w) {
  const int64_t area = taps_h * taps_w;
  Tensor w = zeros({channels * area, channels, taps_h, taps_w}, DType::f64);
  for (int64_t i = 0; i < channels * area; ++i) {
    w.mutable_data<double>()[(i * channels + i / area) * area + i % area] = 1;
  }
  return w;
}

Row folding(const char* name, bool unfolds, std::vector<Misuse> misuses) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                Problem p = draw_problem(d);
                while (p.x[2] > 11) p = draw_problem(d);
                p.o.groups = 1;
                const int64_t channels = d.integer(1, 3), r = p.weight[2], s = p.weight[3];
                p.x[1] = channels;
                p.weight = {channels * r * s, channels, r, s};
                const Shape y = conv2d_output_shape(p.x, p.weight, p.o), columns{y[0], y[1], y[2] * y[3]};
                if (unfolds) {
                  return Sample{.inputs = {d.normal(p.x)},
                                .call =
                                    [=](Inputs in) {
                                      return unfold(in[0], {r, s}, p.o);
                                    },
                                .formula =
                                    [=](Values in) {
                                      const Tensor both[] = {in[0], picking_weight(channels, r, s)};
                                      return formula(p, 2, both).reshape(columns);
                                    }};
                }
                return Sample{
                    .inputs = {d.normal(columns)},
                    .call =
                        [=](Inputs in) {
                          return fold(in[0], {p.x[2], p.x[3]}, {r, s}, p.o);
                        },
                    .formula =
                        [=](Values in) {
                          const Tensor both[] = {in[0].contiguous().reshape(y), picking_weight(channels, r, s)};
                          return formula(p, 0, both);
                        }};
              },
          .misuses = std::move(misuses)};
}

}  // namespace

std::vector<Row> conv_rows() {
  const Tensor x = f32_of({2, 3, 8, 8}), w = f32_of({4, 3, 3, 3}), transposed = f32_of({3, 4, 3, 3});
  return {
      convolution("conv2d", draw_conv2d,
                  {{"(N, C, H, W), got (3, 8, 8)",
                    [=] {
                      conv2d(f32_of({3, 8, 8}), w);
                    }},
                   {"input has 3 channels but weight (4, 2, 3, 3)",
                    [=] {
                      conv2d(x, f32_of({4, 2, 3, 3}));
                    }},
                   {"kernel reaches over 9 pixels",
                    [=] {
                      conv2d(x, f32_of({4, 3, 9, 9}));
                    }},
                   {"bias has shape (3,)", [=] { conv2d(x, w, f32_of({3})); }},
                   {"input is f32 but weight is f64", [=] { conv2d(x, w.to(DType::f64)); }},
                   {"stride must be at least 1, got (1, 0)",
                    [=] {
                      conv2d(x, w, {}, {.stride = {1, 0}});
                    }},
                   {"dilation must be at least 1", [=] { conv2d(x, w, {}, {.dilation = 0}); }},
                   {"padding must be at least 0", [=] { conv2d(x, w, {}, {.padding = -1}); }},
                   {"groups must be at least 1", [=] { conv2d(x, w, {}, {.groups = 0}); }},
                   {"do not divide into 3",
                    [=] {
                      conv2d(x, f32_of({4, 1, 3, 3}), {}, {.groups = 3});
                    }},
                   {"has no taps",
                    [=] {
                      conv2d(x, f32_of({4, 3, 0, 3}));
                    }},
                   {"weight is undefined", [=] { conv2d(x, Tensor()); }}}),
      convolution("conv2d_backward_input", draw_backward_input,
                  {{"dy has shape (2, 3, 8, 8)",
                    [=] {
                      conv2d_backward_input(x, w, {2, 3, 8, 8});
                    }}}),
      convolution("conv2d_backward_weight", draw_backward_weight,
                  {{"an output of (2, 4, 6, 6)",
                    [=] {
                      conv2d_backward_weight(x, x, {4, 3, 3, 3});
                    }}}),
      convolution("conv_transpose2d", draw_transposed,
                  {{"input has 3 channels", [=] { conv_transpose2d(x, w); }},
                   {"output_padding must be in 0..stride-1",
                    [=] { conv_transpose2d(x, transposed, {}, {.output_padding = 1}); }},
                   {"leave an output of", [=] { conv_transpose2d(x, transposed, {}, {.padding = 9}); }},
                   {"bias has shape (3,)", [=] { conv_transpose2d(x, transposed, f32_of({3})); }}}),
      convolution("conv1d", draw_conv1d, {{"must have 3 dimensions", [=] { conv1d(x, w); }}}),
      convolution("conv_transpose1d", draw_transposed1d, {{"must have 3 dimensions", [=] { conv_transpose1d(x, w); }}}),
      folding("unfold", true,
              {{"(N, C, H, W)",
                [] {
                  unfold(f32_of({3, 8, 8}), 3);
                }},
               {"kernel must be", [=] { unfold(x, 0); }}}),
      folding("fold", false,
              {{"(N, C * 9, L)",
                [] {
                  fold(f32_of({1, 8, 4}), 4, 3);
                }},
               {"has 2 x 2 patches",
                [] {
                  fold(f32_of({1, 9, 5}), 4, 3);
                }}}),
  };
}

}  // namespace sfumato::testing
