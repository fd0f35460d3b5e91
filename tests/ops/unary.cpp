// Rows of the elementwise ops on one tensor ("autograd/ops/elementwise.h").
#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Function = Variable (*)(const Variable&);
using Values = Tensor (Draw::*)(const Shape&);

// A function of one tensor whose values the draw chooses.
Row unary(const char* name, Function f, double (*formula)(double), Values values = &Draw::normal) {
  return {.name = name, .draw = [=](Draw& d) {
            return Sample{.inputs = {(d.*values)(d.shape())},
                          .call = [f](Inputs x) { return f(x[0]); },
                          .formula = each(formula)};
          }};
}

// The same on an interval; small samples stay near 0, where differences are good.
Row unary_on(double low, double high, const char* name, Function f, double (*formula)(double)) {
  return {.name = name, .draw = [=](Draw& d) {
            const bool small = d.sizes() == Sizes::small;
            return Sample{
                .inputs = {d.uniform(d.shape(), small ? std::max(low, -2.0) : low, small ? std::min(high, 2.0) : high)},
                .call = [f](Inputs x) { return f(x[0]); },
                .formula = each(formula)};
          }};
}

Row with_integers(Row row) {
  row.dtypes = kNumbers;
  return row;
}
// Flat wherever it has a slope: values between the steps, where differences are 0.
Row step(const char* name, Function f, double (*formula)(double)) {
  Row row = with_integers(unary(name, f, formula));
  row.differentiable = false;
  return row;
}

double sigmoid_of(double v) { return 1 / (1 + std::exp(-v)); }
double softplus_of(double v) { return std::log1p(std::exp(v)); }
double normal_cdf(double v) { return 0.5 * std::erfc(-v * M_SQRT1_2); }

std::vector<Row> smooth_rows() {
  return {
      unary_on(-0.8, 0.8, "acos", acos, std::acos),
      unary_on(1.3, 2, "acosh", acosh, std::acosh),
      unary_on(-0.8, 0.8, "asin", asin, std::asin),
      unary("asinh", asinh, std::asinh),
      unary("atan", atan, std::atan),
      unary_on(-0.8, 0.8, "atanh", atanh, std::atanh),
      unary_on(-9, 9, "cos", cos, std::cos),
      unary("cosh", cosh, std::cosh),
      unary_on(-4, 4, "erf", erf, std::erf),
      unary_on(-2, 2, "erfc", erfc, std::erfc),
      unary_on(-9, 9, "exp", exp, std::exp),
      unary("exp2", exp2, std::exp2),
      unary("expm1", expm1, std::expm1),
      unary("log", log, std::log, &Draw::positive),
      unary("log10", log10, std::log10, &Draw::positive),
      unary("log1p", log1p, std::log1p, &Draw::positive),
      unary("log2", log2, std::log2, &Draw::positive),
      unary_on(0.1, 0.9, "logit", logit, [](double v) { return std::log(v / (1 - v)); }),
      with_integers(unary("neg", neg, [](double v) { return -v; })),
      unary(
          "reciprocal", reciprocal, [](double v) { return 1 / v; }, &Draw::off_zero),
      unary(
          "rsqrt", rsqrt, [](double v) { return 1 / std::sqrt(v); }, &Draw::positive),
      unary_on(-9, 9, "sin", sin, std::sin),
      unary("sinh", sinh, std::sinh),
      unary("sqrt", sqrt, std::sqrt, &Draw::positive),
      with_integers(unary("square", square, [](double v) { return v * v; })),
      unary_on(-1.2, 1.2, "tan", tan, std::tan),
      unary_on(-4, 4, "tanh", tanh, std::tanh),
  };
}

std::vector<Row> activation_rows() {
  std::vector<Row> rows{
      unary("logsigmoid", logsigmoid, [](double v) { return -softplus_of(-v); }),
      unary("mish", mish, [](double v) { return v * std::tanh(softplus_of(v)); }),
      unary_on(-4, 4, "sigmoid", sigmoid, sigmoid_of),
      unary_on(-9, 9, "silu", silu, [](double v) { return v * sigmoid_of(v); }),
      unary_on(-9, 9, "softplus", softplus, softplus_of),
      unary(
          "softsign", softsign, [](double v) { return v / (1 + std::abs(v)); }, &Draw::off_zero),
      with_integers(unary(
          "relu", relu, [](double v) { return std::max(v, 0.0); }, &Draw::off_zero)),
      with_integers(unary(
          "abs", abs, [](double v) { return std::abs(v); }, &Draw::off_zero)),
      unary_on(0.1, 5.9, "relu6", relu6, [](double v) { return std::clamp(v, 0.0, 6.0); }),
      unary_on(-2.9, 2.9, "hardsigmoid", hardsigmoid, [](double v) { return std::clamp(v / 6 + 0.5, 0.0, 1.0); }),
      unary_on(-2.9, 2.9, "hardswish", hardswish, [](double v) { return v * std::clamp(v / 6 + 0.5, 0.0, 1.0); }),
  };
  rows.push_back({.name = "gelu",
                  .draw =
                      [](Draw& d) {
                        const bool approximate = d.chance();
                        return Sample{.inputs = {d.uniform(d.shape(), -4, 4)},
                                      .call =
                                          [=](Inputs x) {
                                            return gelu(
                                                x[0], approximate ? GeluApproximation::tanh : GeluApproximation::none);
                                          },
                                      .formula = each([=](double v) {
                                        const double inner = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
                                        return v * (approximate ? 0.5 * (1 + std::tanh(inner)) : normal_cdf(v));
                                      })};
                      },
                  .f32 = {2e-5, 1e-6, 1e-7}});  // 1 + erf(v) cancels on the left
  rows.push_back({.name = "leaky_relu", .draw = [](Draw& d) {
                    const double slope = d.pick({0.01, 0.2});
                    return Sample{.inputs = {d.off_zero(d.shape())},
                                  .call = [=](Inputs x) { return leaky_relu(x[0], slope); },
                                  .formula = each([=](double v) { return v > 0 ? v : slope * v; })};
                  }});
  rows.push_back({.name = "elu", .draw = [](Draw& d) {
                    const double alpha = d.pick({1.0, 0.5});
                    return Sample{.inputs = {d.off_zero(d.shape())},
                                  .call = [=](Inputs x) { return elu(x[0], alpha); },
                                  .formula = each([=](double v) { return v > 0 ? v : alpha * std::expm1(v); })};
                  }});
  // Bounds that no value comes near: the kinks are in elementwise_test.cpp.
  const auto clamped = [](const char* name, auto f) {
    return Row{.name = name, .dtypes = kNumbers, .draw = [f](Draw& d) {
                 const double low = d.integers() ? 2 : -0.05, high = d.integers() ? 7 : 0.05;
                 return Sample{.inputs = {d.off_zero(d.shape())},
                               .call = [=](Inputs x) { return f(x[0], low, high); },
                               .formula = each([=](double v) { return std::clamp(v, low, high); })};
               }};
  };
  rows.push_back(clamped("clamp", [](const Variable& x, double low, double high) { return clamp(x, low, high); }));
  rows.push_back(
      clamped("hardtanh", [](const Variable& x, double low, double high) { return hardtanh(x, low, high); }));
  for (Row& row : rows) {
    if (row.name == "clamp") row.misuses = {{"min must not exceed max", [] { clamp(f32_of({2}), 1, 0); }}};
  }
  return rows;
}

std::vector<Row> step_rows() {
  return {
      step("ceil", ceil, std::ceil),
      step("floor", floor, std::floor),
      step("round", round, std::nearbyint),
      step("sign", sign, [](double v) { return static_cast<double>((v > 0) - (v < 0)); }),
      step("trunc", trunc, std::trunc),
      unary_on(0.1, 0.9, "frac", frac, [](double v) { return v - std::trunc(v); }),
  };
}

}  // namespace

std::vector<Row> unary_rows() {
  std::vector<Row> rows = smooth_rows();
  for (auto family : {activation_rows, step_rows}) {
    for (Row& row : family()) rows.push_back(std::move(row));
  }
  // The other rows of one tensor share one check.
  rows.front().misuses = {{"the input is undefined", [] { acos(Tensor()); }}};
  return rows;
}

}  // namespace sfumato::testing
