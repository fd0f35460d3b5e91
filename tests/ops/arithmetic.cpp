// Rows of the elementwise ops on two tensors, and on a tensor and a number ("autograd/ops/elementwise.h").
#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Function = Variable (*)(const Variable&, const Variable&);
using Number = Variable (*)(const Variable&, double);
using Formula = double (*)(double, double);
using Values = Tensor (Draw::*)(const Shape&);

Misuse shapes_that_do_not_broadcast(Function f) {
  return {"do not broadcast", [f] { f(Variable(f32_of({2, 3})), Variable(f32_of({2}))); }};
}

// Two tensors that broadcast.
Row binary(const char* name, Function f, Formula formula, Values left = &Draw::normal, Values right = &Draw::normal) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                const Draw::Pair shapes = d.broadcast_pair();
                return Sample{.inputs = {(d.*left)(shapes.a), (d.*right)(shapes.b)},
                              .call = [f](Inputs x) { return f(x[0], x[1]); },
                              .formula = each_pair(formula)};
              },
          .misuses = {shapes_that_do_not_broadcast(f)}};
}

// The result may be 0 where the inputs are not.
Row crossing_zero(Row row) {
  row.f32.of_inputs = 1e-7;
  return row;
}

Row for_integers(Row row) {
  row.dtypes = kNumbers;
  return row;
}

// Also with a number on the right, in every other draw.
Row with_number(Row row, Number f, Formula formula, std::initializer_list<double> numbers) {
  const std::vector<double> choices(numbers);
  row.draw = [two_tensors = row.draw, f, formula, choices](Draw& d) {
    if (d.chance(0.6)) return two_tensors(d);
    const double number = choices[static_cast<size_t>(d.integer(0, static_cast<int64_t>(choices.size()) - 1))];
    const double whole = d.integers() ? std::max(1.0, std::round(number)) : number;
    return Sample{.inputs = {d.dtype() == DType::u8 ? d.uniform(d.shape(), 0.4, 0.9) : d.off_zero(d.shape())},
                  .call = [=](Inputs x) { return f(x[0], whole); },
                  .formula = each([=](double v) { return formula(v, whole); })};
  };
  return row;
}

double log_add(double x, double y) { return std::log(std::exp(x) + std::exp(y)); }
double python_mod(double x, double y) { return x - y * std::floor(x / y); }

std::vector<Row> two_tensors() {
  std::vector<Row> rows{
      with_number(for_integers(binary("add", add, [](double x, double y) { return x + y; })), add,
                  [](double x, double y) { return x + y; }, {0.3, -1.5, 3}),
      with_number(for_integers(binary("sub", sub, [](double x, double y) { return x - y; })), sub,
                  [](double x, double y) { return x - y; }, {0.3, -1.5, 3}),
      with_number(for_integers(binary("mul", mul, [](double x, double y) { return x * y; })), mul,
                  [](double x, double y) { return x * y; }, {0.3, -1.5, 3}),
      with_number(binary(
                      "div", div, [](double x, double y) { return x / y; }, &Draw::normal, &Draw::off_zero),
                  div, [](double x, double y) { return x / y; }, {0.3, -1.5, 3}),
      binary(
          "atan2", atan2, [](double y, double x) { return std::atan2(y, x); }, &Draw::off_zero, &Draw::off_zero),
      binary(
          "hypot", hypot, [](double x, double y) { return std::hypot(x, y); }, &Draw::off_zero, &Draw::off_zero),
      crossing_zero(binary("logaddexp", logaddexp, log_add)),
      binary(
          "copysign", copysign, [](double x, double y) { return std::copysign(x, y); }, &Draw::off_zero,
          &Draw::off_zero),
      binary(
          "xlogy", xlogy, [](double x, double y) { return x == 0 ? 0 : x * std::log(y); }, &Draw::normal,
          &Draw::positive),
      with_number(binary(
                      "pow", pow, [](double x, double y) { return std::pow(x, y); }, &Draw::positive),
                  pow, [](double x, double y) { return std::pow(x, y); }, {2, 3, 1}),
  };
  return rows;
}

// Extrema away from ties, and quotients away from whole numbers.
std::vector<Row> kinked() {
  const auto apart = [](const char* name, Function f, Formula formula) {
    return Row{.name = name,
               .dtypes = kNumbers,
               .draw =
                   [=](Draw& d) {
                     const Draw::Pair shapes = d.broadcast_pair();
                     // Whole multiples of 1/4 against odd eighths: never equal, in bf16 neither.
                     const Tensor a = d.uniform(shapes.a, -2, 2), b = d.uniform(shapes.b, -2, 2);
                     const bool whole = d.integers();
                     const Tensor left = whole ? a : mul(round(mul(a, 4.0)), 0.25);
                     const Tensor right = whole ? b : add(mul(round(mul(b, 4.0)), 0.25), 0.125);
                     return Sample{.inputs = {left, right},
                                   .call = [f](Inputs x) { return f(x[0], x[1]); },
                                   .formula = each_pair(formula)};
                   },
               .misuses = {shapes_that_do_not_broadcast(f)}};
  };
  const auto quotient = [](const char* name, Function f, Formula formula) {
    return Row{.name = name,
               .dtypes = kNumbers,
               .draw =
                   [=](Draw& d) {
                     const Draw::Pair shapes = d.broadcast_pair();
                     // Odd eighths by quarters: the quotient is half a step or more from every whole number.
                     const bool whole = d.integers();
                     const Tensor a = d.uniform(shapes.a, -3, 3), b = d.off_zero(shapes.b);
                     const Tensor left = whole ? a : add(mul(round(a), 2.0), 0.5);
                     const Tensor right = whole ? b : sign(b);
                     return Sample{.inputs = {left, right},
                                   .call = [f](Inputs x) { return f(x[0], x[1]); },
                                   .formula = each_pair(formula)};
                   },
               .misuses = {shapes_that_do_not_broadcast(f), {"division by zero", [f] {
                                                               f(Variable(zeros({2}, DType::i64)),
                                                                 Variable(zeros({2}, DType::i64)));
                                                             }}}};
  };
  std::vector<Row> rows{
      apart("maximum", maximum, [](double x, double y) { return std::max(x, y); }),
      apart("minimum", minimum, [](double x, double y) { return std::min(x, y); }),
      quotient("fmod", fmod, [](double x, double y) { return std::fmod(x, y); }),
      quotient("remainder", remainder, python_mod),
      quotient("floor_divide", floor_divide, [](double x, double y) { return std::floor(x / y); }),
  };
  rows.back().differentiable = false;
  return rows;
}

std::vector<Row> compositions() {
  std::vector<Row> rows;
  rows.push_back({.name = "affine",
                  .dtypes = kNumbers,
                  .draw =
                      [](Draw& d) {
                        const double scale = d.integers() ? 3 : -1.5, shift = d.integers() ? 2 : 0.25;
                        return Sample{.inputs = {d.normal(d.shape())},
                                      .call = [=](Inputs x) { return affine(x[0], scale, shift); },
                                      .formula = each([=](double v) { return scale * v + shift; })};
                      },
                  .misuses = {{"takes whole numbers, got 0.5", [] { affine(ones({2}, DType::i64), 0.5, 0); }}}});
  rows.push_back({.name = "lerp", .draw = [](Draw& d) {
                    const Shape shape = d.shape();
                    if (d.chance()) {
                      return Sample{.inputs = {d.normal(shape), d.normal(shape)},
                                    .call = [](Inputs x) { return lerp(x[0], x[1], 0.3); },
                                    .formula = each_pair([](double a, double b) { return a + 0.3 * (b - a); })};
                    }
                    return Sample{.inputs = {d.normal(shape), d.normal(shape), d.normal(shape)},
                                  .call = [](Inputs x) { return lerp(x[0], x[1], x[2]); }};
                  }});
  const auto accumulate = [](const char* name, auto f) {
    return Row{.name = name, .draw = [f](Draw& d) {
                 const Shape shape = d.shape();
                 return Sample{.inputs = {d.normal(shape), d.normal(shape), d.off_zero(shape)},
                               .call = [f](Inputs x) { return f(x[0], x[1], x[2], 0.7); }};
               }};
  };
  rows.push_back(accumulate("addcmul", addcmul));
  rows.push_back(accumulate("addcdiv", addcdiv));
  return rows;
}

}  // namespace

std::vector<Row> arithmetic_rows() {
  std::vector<Row> rows = two_tensors();
  for (auto family : {kinked, compositions}) {
    for (Row& row : family()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sfumato::testing
