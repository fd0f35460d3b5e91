// Rows of the scans ("autograd/ops/scan.h").
#include <algorithm>

#include "autograd/ops/scan.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tests/ops/lines.h"

namespace sfumato::testing {
namespace {

using Step = double (*)(double, double);

// Every prefix (or suffix) of a line, folded.
std::function<Numbers(Numbers)> prefixes(double start, Step step, bool reverse = false) {
  return [=](Numbers v) {
    if (reverse) std::reverse(v.begin(), v.end());
    double state = start;
    for (double& element : v) element = state = step(state, element);
    if (reverse) std::reverse(v.begin(), v.end());
    return v;
  };
}

using Scan = Variable (*)(const Variable&, int64_t, bool);

Row two_ways(const char* name, Scan f, double start, Step step, Tensor (*values)(Draw&, const Shape&)) {
  return {.name = name,
          .dtypes = kAllDTypes,
          .draw =
              [=](Draw& d) {
                const auto [shape, dim] = axis(d);
                const bool reverse = d.chance();
                return Sample{.inputs = {values(d, shape)},
                              .call = [=, dim = dim](Inputs x) { return f(x[0], dim, reverse); },
                              .formula =
                                  [=, dim = dim](std::span<const Tensor> x) {
                                    return by_lines(x[0], dim, prefixes(start, step, reverse));
                                  }};
              },
          .misuses = {{"dim 2 is out of range",
                       [f] {
                         f(f32_of({2, 3}), 2, false);
                       }}},
          .result = i64_unless_float};
}

Row extremum_row(const char* name, IndexedVariables (*f)(const Variable&, int64_t), double start, Step step) {
  return {.name = name,
          .dtypes = kAllDTypes,
          .draw =
              [=](Draw& d) {
                const auto [shape, dim] = axis(d);
                return Sample{
                    .inputs = {values_of(d, shape)},
                    .call = [=, dim = dim](Inputs x) { return f(x[0], dim).values; },
                    .formula = [=, dim = dim](
                                   std::span<const Tensor> x) { return by_lines(x[0], dim, prefixes(start, step)); }};
              },
          .misuses = {{"dim 2 is out of range", [f] {
                         f(f32_of({2, 3}), 2);
                       }}}};
}

Row logcumsumexp_row() {
  return {.name = "logcumsumexp",
          .draw =
              [](Draw& d) {
                const auto [shape, dim] = axis(d);
                return Sample{.inputs = {d.normal(shape)},
                              .call = [dim = dim](Inputs x) { return logcumsumexp(x[0], dim); },
                              .formula =
                                  [dim = dim](std::span<const Tensor> x) {
                                    return by_lines(x[0], dim, prefixes(-INFINITY, [](double state, double v) {
                                                      return std::log(std::exp(state) + std::exp(v));
                                                    }));
                                  }};
              },
          .misuses = {{"dim 2 is out of range", [] {
                         logcumsumexp(f32_of({2, 3}), 2);
                       }}}};
}

// Both inputs in one tensor of pairs for the formula: a line of a, then the line of b.
Tensor recurrence(const Tensor& a, const Tensor& b, int64_t dim, bool reverse) {
  if (a.dim() == 0) return b;
  const Tensor factor = transpose(a, dim, -1).contiguous(), term = transpose(b, dim, -1).contiguous();
  Numbers h = term.to_vector();
  const Numbers f = factor.to_vector();
  const int64_t n = term.size(-1);
  for (int64_t i = 0; i < term.numel(); ++i) {
    const int64_t at = reverse ? term.numel() - 1 - i : i;
    const int64_t before = reverse ? at + 1 : at - 1;
    const bool first = reverse ? at % n == n - 1 : at % n == 0;
    h[static_cast<size_t>(at)] += first ? 0 : f[static_cast<size_t>(at)] * h[static_cast<size_t>(before)];
  }
  return transpose(tensor_of(h, term.shape(), DType::f64), dim, -1);
}

Row linear_scan_row() {
  return {
      .name = "linear_scan",
      .draw =
          [](Draw& d) {
            const auto [shape, dim] = axis(d);
            const bool reverse = d.chance();
            return Sample{
                .inputs = {d.uniform(shape, -0.9, 0.9), d.normal(shape)},
                .call = [=, dim = dim](Inputs x) { return linear_scan(x[0], x[1], dim, reverse); },
                .formula = [=, dim = dim](std::span<const Tensor> x) { return recurrence(x[0], x[1], dim, reverse); }};
          },
      .misuses = {{"a has shape (2,) but b has (3,)", [] { linear_scan(f32_of({2}), f32_of({3}), 0); }},
                  {"a is f64 but b is f32",
                   [] { linear_scan(Variable(ones({2}, DType::f64)), Variable(f32_of({2})), 0); }}},
      .f32 = {1e-5, 2e-6}};  // terms of both signs may cancel
}

Row shifted_row() {
  return {.name = "shifted", .dtypes = kAllDTypes, .draw = [](Draw& d) {
            const Shape shape = d.shape(1);
            const int64_t dim = d.dim(shape);
            const bool reverse = d.chance();
            return Sample{.inputs = {values_of(d, shape)},
                          .call = [=](Inputs x) { return shifted(x[0], dim, reverse, 1); },
                          .formula =
                              [=](std::span<const Tensor> x) {
                                return by_lines(x[0], dim, [=](Numbers v) {
                                  if (v.empty()) return v;
                                  v.insert(reverse ? v.end() : v.begin(), 1);
                                  v.erase(reverse ? v.begin() : v.end() - 1);
                                  return v;
                                });
                              }};
          }};
}

}  // namespace

std::vector<Row> scan_rows() {
  return {
      two_ways(
          "cumsum", cumsum, 0, [](double s, double v) { return s + v; }, summands),
      two_ways(
          "cumprod", cumprod, 1, [](double s, double v) { return s * v; }, factors),
      extremum_row("cummax", cummax, -INFINITY, [](double s, double v) { return std::max(s, v); }),
      extremum_row("cummin", cummin, INFINITY, [](double s, double v) { return std::min(s, v); }),
      logcumsumexp_row(),
      linear_scan_row(),
      shifted_row(),
  };
}

}  // namespace sfumato::testing
