// Rows of comparisons, logic and what kind of number an element is ("tensor/ops/compare.h", "tensor/ops/select.h").
#include "tensor/ops/compare.h"

#include <algorithm>
#include <limits>
#include <map>

#include "autograd/ops/select.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Compare = Tensor (*)(const Tensor&, const Tensor&);
using CompareNumber = Tensor (*)(const Tensor&, double);

// Values that are often equal: whole numbers from a few.
Tensor coarse(Draw& d, const Shape& shape) {
  if (d.dtype() == DType::boolean) return d.bits(shape);
  return d.indices(shape, 4).to(DType::f64);
}

Row comparison(const char* name, Compare f, CompareNumber with_number, bool (*formula)(double, double)) {
  return {.name = name,
          .dtypes = kAllDTypes,
          .draw =
              [=](Draw& d) {
                if (d.chance(0.3)) {
                  const double number = d.pick({0.0, 1.0, 0.5, 2.0});
                  return Sample{.inputs = {coarse(d, d.shape())},
                                .call = [=](Inputs x) { return Variable(with_number(x[0].tensor(), number)); },
                                .formula = each([=](double v) { return formula(v, number) ? 1.0 : 0.0; })};
                }
                const Draw::Pair shapes = d.broadcast_pair();
                return Sample{.inputs = {coarse(d, shapes.a), coarse(d, shapes.b)},
                              .call = [=](Inputs x) { return Variable(f(x[0].tensor(), x[1].tensor())); },
                              .formula = each_pair([=](double a, double b) { return formula(a, b) ? 1.0 : 0.0; })};
              },
          .misuses = {{"do not broadcast", [=] { f(ones({2}), ones({3})); }}},
          .differentiable = false,
          .result = always_bool};
}

Row logic(const char* name, Compare f, bool (*formula)(bool, bool)) {
  return {.name = name,
          .dtypes = {DType::boolean},
          .draw =
              [=](Draw& d) {
                const Draw::Pair shapes = d.broadcast_pair();
                return Sample{
                    .inputs = {d.bits(shapes.a), d.bits(shapes.b)},
                    .call = [=](Inputs x) { return Variable(f(x[0].tensor(), x[1].tensor())); },
                    .formula = each_pair([=](double a, double b) { return formula(a != 0, b != 0) ? 1.0 : 0.0; })};
              },
          .misuses = {{"inputs must be bool, got f32", [=] { f(ones({2}), ones({2})); }}},
          .differentiable = false,
          .result = always_bool};
}

// Some elements replaced by NaN and infinities.
Tensor special(Draw& d, const Shape& shape) {
  Tensor x = d.any(shape);
  if (!is_floating(d.dtype())) return x;
  const double infinity = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t kind = d.integer(0, 5);
    if (kind < 3) x.mutable_data<double>()[i] = kind == 0 ? std::nan("") : kind == 1 ? infinity : -infinity;
  }
  return x;
}

Row kind_of(const char* name, Tensor (*f)(const Tensor&), bool (*formula)(double)) {
  return {.name = name,
          .dtypes = kAllDTypes,
          .draw =
              [=](Draw& d) {
                return Sample{.inputs = {special(d, d.shape())},
                              .call = [=](Inputs x) { return Variable(f(x[0].tensor())); },
                              .formula = each([=](double v) { return formula(v) ? 1.0 : 0.0; })};
              },
          .differentiable = false,
          .result = always_bool};
}

std::vector<Row> selection_rows() {
  std::vector<Row> rows;
  rows.push_back({.name = "nonzero",
                  .dtypes = kAllDTypes,
                  .draw =
                      [](Draw& d) {
                        const Shape shape = d.shape(0, 3);
                        return Sample{.inputs = {coarse(d, shape)},
                                      .call = [](Inputs x) { return Variable(nonzero(x[0].tensor())); },
                                      .formula =
                                          [=](std::span<const Tensor> x) {
                                            std::vector<double> rows;
                                            const auto values = x[0].to_vector();
                                            Dims at = Dims::filled(shape.rank(), 0);
                                            int64_t count = 0;
                                            for (const double value : values) {
                                              for (int i = 0; value != 0 && i < shape.rank(); ++i) {
                                                rows.push_back(static_cast<double>(at[i]));
                                              }
                                              count += value != 0 ? 1 : 0;
                                              for (int i = shape.rank() - 1; i >= 0 && ++at[i] == shape[i]; --i)
                                                at[i] = 0;
                                            }
                                            return tensor_of(rows, {count, shape.rank()}, DType::f64);
                                          }};
                      },
                  .differentiable = false,
                  .result = always_i64});
  rows.push_back({.name = "bincount",
                  .dtypes = kIntegers,
                  .draw =
                      [](Draw& d) {
                        const int64_t least = d.integer(0, 6);
                        return Sample{.inputs = {d.indices({d.batch(257)}, 9).to(DType::f64)},
                                      .call = [=](Inputs x) { return Variable(bincount(x[0].tensor(), least)); },
                                      .formula =
                                          [=](std::span<const Tensor> x) {
                                            const auto values = x[0].to_vector();
                                            const double most =
                                                values.empty() ? -1 : *std::max_element(values.begin(), values.end());
                                            std::vector<double> counts(static_cast<size_t>(
                                                std::max<int64_t>(static_cast<int64_t>(most) + 1, least)));
                                            for (const double value : values) ++counts[static_cast<size_t>(value)];
                                            return tensor_of(counts, {static_cast<int64_t>(counts.size())}, DType::f64);
                                          }};
                      },
                  .misuses = {{"elements must not be negative, got -1", [] { bincount(full({1}, -1, DType::i64)); }},
                              {"input must be (N)",
                               [] {
                                 bincount(ones({2, 2}, DType::i64));
                               }},
                              {"minlength must not be negative", [] { bincount(ones({2}, DType::i64), -1); }}},
                  .differentiable = false,
                  .result = always_i64});
  // Values, their places and their counts, one after the other, are all there is.
  rows.push_back(
      {.name = "unique",
       .dtypes = kAllDTypes,
       .draw =
           [](Draw& d) {
             return Sample{
                 .inputs = {coarse(d, d.shape())},
                 .call =
                     [](Inputs x) {
                       const UniqueResult u = unique(x[0].tensor());
                       const Tensor restored = index_select(u.values, 0, u.inverse.reshape({u.inverse.numel()}));
                       return cat({Variable(u.values), Variable(u.counts.to(DType::f64)), Variable(restored)}, 0);
                     },
                 .formula =
                     [](std::span<const Tensor> x) {
                       std::map<double, double> counts;
                       const auto values = x[0].to_vector();
                       for (const double value : values) ++counts[value];
                       std::vector<double> all;
                       for (const auto& [value, count] : counts) all.push_back(value);
                       for (const auto& [value, count] : counts) all.push_back(count);
                       all.insert(all.end(), values.begin(), values.end());
                       return tensor_of(all, {static_cast<int64_t>(all.size())}, DType::f64);
                     }};
           },
       .differentiable = false,
       .result = always_f64});
  rows.push_back({.name = "isclose",
                  .draw =
                      [](Draw& d) {
                        const Draw::Pair shapes = d.broadcast_pair();
                        return Sample{
                            .inputs = {coarse(d, shapes.a), coarse(d, shapes.b)},
                            .call = [](Inputs x) { return Variable(isclose(x[0].tensor(), x[1].tensor(), 0.1, 0.6)); },
                            .formula = each_pair([](double a, double b) {
                              return std::abs(a - b) <= 0.6 + 0.1 * std::abs(b) ? 1.0 : 0.0;
                            })};
                      },
                  .misuses = {{"do not broadcast", [] { isclose(ones({2}), ones({3})); }}},
                  .differentiable = false,
                  .result = always_bool});
  rows.push_back({.name = "nan_to_num", .draw = [](Draw& d) {
                    return Sample{.inputs = {special(d, d.shape())},
                                  .call = [](Inputs x) { return nan_to_num(x[0], 0.5, 3, -4); },
                                  .formula = each([](double v) {
                                    return std::isnan(v) ? 0.5 : std::isinf(v) ? (v > 0 ? 3.0 : -4.0) : v;
                                  })};
                  }});
  return rows;
}

}  // namespace

std::vector<Row> compare_rows() {
  std::vector<Row> rows{
      comparison("eq", eq, eq, [](double a, double b) { return a == b; }),
      comparison("ne", ne, ne, [](double a, double b) { return a != b; }),
      comparison("lt", lt, lt, [](double a, double b) { return a < b; }),
      comparison("le", le, le, [](double a, double b) { return a <= b; }),
      comparison("gt", gt, gt, [](double a, double b) { return a > b; }),
      comparison("ge", ge, ge, [](double a, double b) { return a >= b; }),
      logic("logical_and", logical_and, [](bool a, bool b) { return a && b; }),
      logic("logical_or", logical_or, [](bool a, bool b) { return a || b; }),
      logic("logical_xor", logical_xor, [](bool a, bool b) { return a != b; }),
      kind_of("isnan", isnan, [](double v) { return std::isnan(v); }),
      kind_of("isinf", isinf, [](double v) { return std::isinf(v); }),
      kind_of("isfinite", isfinite, [](double v) { return std::isfinite(v); }),
      {.name = "logical_not",
       .dtypes = {DType::boolean},
       .draw =
           [](Draw& d) {
             return Sample{.inputs = {d.bits(d.shape())},
                           .call = [](Inputs x) { return Variable(logical_not(x[0].tensor())); },
                           .formula = each([](double v) { return v == 0 ? 1.0 : 0.0; })};
           },
       .misuses = {{"inputs must be bool", [] { logical_not(ones({2})); }}},
       .differentiable = false,
       .result = always_bool},
  };
  for (Row& row : selection_rows()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace sfumato::testing
