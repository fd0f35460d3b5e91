// Rows of the reductions, of extrema with their places, and of variance and norms ("autograd/ops/reduce.h",
// "statistics.h").
#include <algorithm>
#include <numeric>

#include "autograd/ops/reduce.h"
#include "autograd/ops/statistics.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tests/ops/lines.h"

namespace sfumato::testing {
namespace {

using Function = Variable (*)(const Variable&, const Dims&, bool);
using Fold = double (*)(Numbers);
using Values = Tensor (*)(Draw&, const Shape&);

double total(Numbers v) { return std::accumulate(v.begin(), v.end(), 0.0); }
double average(Numbers v) { return total(v) / static_cast<double>(v.size()); }
double product(Numbers v) { return std::accumulate(v.begin(), v.end(), 1.0, std::multiplies<>()); }
double largest(Numbers v) { return *std::max_element(v.begin(), v.end()); }
double smallest(Numbers v) { return *std::min_element(v.begin(), v.end()); }
double log_of_sum(Numbers v) {
  for (double& element : v) element = std::exp(element);
  return std::log(total(v));
}

Tensor mostly_zero(Draw& d, const Shape& shape) {
  const Tensor rare = mul(mul(d.bits(shape), d.bits(shape)), d.bits(shape));
  return d.dtype() == DType::boolean ? rare : mul(rare, d.off_zero(shape));
}
Tensor mostly_set(Draw& d, const Shape& shape) { return affine(gt(mostly_zero(d, shape), 0.0).to(DType::f64), -1, 1); }

std::vector<Misuse> wrong_dims(Function f) {
  return {{"dim 2 is out of range",
           [f] {
             f(f32_of({2, 3}), {2}, false);
           }},
          {"listed twice", [f] {
             f(f32_of({2, 3}), {0, -2}, false);
           }}};
}

Row over_dims(const char* name, Function f, Fold fold, Values values, bool needs_elements = false) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                Shape shape = tensor_shape(d);
                Dims dims = d.dims(shape);
                if (needs_elements && d.sizes() == Sizes::empty) {
                  shape = {3, 0, 2};
                  dims = d.chance() ? listed({shape, 0}) : listed({shape, -1});
                }
                const bool keepdim = d.chance();
                return Sample{
                    .inputs = {values(d, shape)},
                    .call = [=](Inputs x) { return f(x[0], dims, keepdim); },
                    .formula = [=](std::span<const Tensor> x) { return by_groups(x[0], dims, keepdim, fold); }};
              },
          .misuses = wrong_dims(f)};
}

Row with_dtypes(Row row, DTypeSet dtypes, ResultDType result = same_dtype) {
  row.dtypes = dtypes;
  row.result = result;
  return row;
}
Row flat(Row row) {
  row.differentiable = false;
  return row;
}
Row refusing_nothing(Row row, Function f) {
  row.misuses.push_back({"is empty and has no extremum", [f] { f(f32_of({2, 0}), {1}, false); }});
  return row;
}

std::vector<Row> folds() {
  const Function any_of = [](const Variable& x, const Dims& dims, bool keep) {
    return Variable(any(x.tensor(), dims, keep));
  };
  const Function all_of = [](const Variable& x, const Dims& dims, bool keep) {
    return Variable(all(x.tensor(), dims, keep));
  };
  const Function nonzeros = [](const Variable& x, const Dims& dims, bool keep) {
    return Variable(count_nonzero(x.tensor(), dims, keep));
  };
  const Fold is_any = [](Numbers v) {
    return double(std::any_of(v.begin(), v.end(), [](double e) { return e != 0; }));
  };
  const Fold is_all = [](Numbers v) {
    return double(std::all_of(v.begin(), v.end(), [](double e) { return e != 0; }));
  };
  const Fold not_zero = [](Numbers v) {
    return static_cast<double>(v.size()) - double(std::count(v.begin(), v.end(), 0));
  };
  std::vector<Row> rows{
      with_dtypes(over_dims("sum", sum, total, summands), kAllDTypes, i64_unless_float),
      over_dims("mean", mean, average, summands),
      with_dtypes(refusing_nothing(over_dims("amax", amax, largest, values_of, true), amax), kAllDTypes),
      with_dtypes(refusing_nothing(over_dims("amin", amin, smallest, values_of, true), amin), kAllDTypes),
      flat(with_dtypes(over_dims("any", any_of, is_any, mostly_zero), kAllDTypes, always_bool)),
      flat(with_dtypes(over_dims("all", all_of, is_all, mostly_set), kAllDTypes, always_bool)),
      flat(with_dtypes(over_dims("count_nonzero", nonzeros, not_zero, mostly_zero), kAllDTypes, always_i64)),
      over_dims("logsumexp", logsumexp, log_of_sum, [](Draw& d, const Shape& shape) { return d.normal(shape); }),
  };
  // A number that is NaN stays so in any dtype, and no step of a difference reaches it.
  rows.push_back(over_dims(
      "nansum", nansum,
      [](Numbers v) {
        for (double& element : v) element = std::isnan(element) ? 0 : element;
        return total(v);
      },
      [](Draw& d, const Shape& shape) {
        return masked_fill(d.positive(shape), logical_and(d.mask(shape), d.mask(shape)), NAN);
      }));
  return rows;
}

Row prod_row() {
  return {.name = "prod",
          .dtypes = kAllDTypes,
          .draw =
              [](Draw& d) {
                const auto [shape, dim] = axis(d);
                const bool keepdim = d.chance();
                if (shape.numel() < 3000 && d.chance(0.3)) {
                  return Sample{
                      .inputs = {factors(d, shape)},
                      .call = [](Inputs x) { return prod(x[0]); },
                      .formula = [](std::span<const Tensor> x) { return by_groups(x[0], {}, false, product); }};
                }
                const Dims dims = listed({shape, dim});
                return Sample{
                    .inputs = {factors(d, shape)},
                    .call = [=, dim = dim](Inputs x) { return prod(x[0], dim, keepdim); },
                    .formula = [=](std::span<const Tensor> x) { return by_groups(x[0], dims, keepdim, product); }};
              },
          .misuses = {{"dim 2 is out of range",
                       [] {
                         prod(f32_of({2, 3}), 2);
                       }}},
          .result = i64_unless_float,
          .f32 = {2e-5, 1e-6}};  // every factor rounds
}

Row sum_to_row() {
  return {.name = "sum_to",
          .dtypes = kAllDTypes,
          .draw =
              [](Draw& d) {
                const Shape shape = tensor_shape(d);
                Shape target;
                Dims dims;
                const auto lead = shape.rank() > 0 ? d.integer(0, shape.rank()) : 0;
                for (int i = 0; i < shape.rank(); ++i) {
                  const bool summed = i < lead || d.chance(0.3);
                  if (summed) dims.push_back(i);
                  if (i >= lead) target.push_back(summed ? 1 : shape[i]);
                }
                return Sample{.inputs = {summands(d, shape)},
                              .call = [=](Inputs x) { return sum_to(x[0], target); },
                              .formula =
                                  [=](std::span<const Tensor> x) {
                                    return dims.rank() == 0 ? x[0]
                                                            : reshape(by_groups(x[0], dims, true, total), target);
                                  }};
              },
          .misuses = {{"is no broadcast of",
                       [] {
                         sum_to(Variable(f32_of({2, 3})), {2});
                       }},
                      {"has fewer dimensions than",
                       [] {
                         sum_to(Variable(f32_of({3})), {1, 3});
                       }}},
          .result = i64_unless_float};
}

using Extremum = IndexedVariables (*)(const Variable&, int64_t, bool);

Row extremum_row(const char* name, Extremum f, Fold fold) {
  return {.name = name,
          .dtypes = kAllDTypes,
          .draw =
              [=](Draw& d) {
                const auto [shape, dim] = nonempty_axis(d);
                const bool keepdim = d.chance();
                const Dims dims = listed({shape, dim});
                return Sample{
                    .inputs = {values_of(d, shape)},
                    .call = [=, dim = dim](Inputs x) { return f(x[0], dim, keepdim).values; },
                    .formula = [=](std::span<const Tensor> x) { return by_groups(x[0], dims, keepdim, fold); }};
              },
          .misuses = {{"is empty and has no extremum", [f] {
                         f(f32_of({2, 0}), 1, false);
                       }}}};
}

Row place_row(const char* name,
              Tensor (*along)(const Tensor&, int64_t, bool),
              Tensor (*in_all)(const Tensor&),
              Fold fold) {
  return {.name = name,
          .dtypes = kAllDTypes,
          .draw =
              [=](Draw& d) {
                const auto [shape, dim] = nonempty_axis(d);
                const bool keepdim = d.chance();
                if (d.sizes() != Sizes::empty && d.chance(0.3)) {
                  return Sample{.inputs = {values_of(d, shape)},
                                .call = [=](Inputs x) { return Variable(in_all(x[0].tensor())); },
                                .formula = [=](std::span<const Tensor> x) { return by_groups(x[0], {}, false, fold); }};
                }
                const Dims dims = listed({shape, dim});
                return Sample{
                    .inputs = {values_of(d, shape)},
                    .call = [=, dim = dim](Inputs x) { return Variable(along(x[0].tensor(), dim, keepdim)); },
                    .formula = [=](std::span<const Tensor> x) { return by_groups(x[0], dims, keepdim, fold); }};
              },
          .misuses = {{"is empty and has no extremum",
                       [along] {
                         along(f32_of({2, 0}), 1, false);
                       }},
                      {"is empty and has no extremum", [in_all] { in_all(f32_of({0})); }}},
          .differentiable = false,
          .result = always_i64};
}

Row deviation_row(const char* name, Variable (*f)(const Variable&, const Dims&, int64_t, bool), bool root) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                const Shape shape = tensor_shape(d);
                const Dims dims = d.dims(shape);
                const bool keepdim = d.chance();
                // The unbiased variance of one element is no number.
                int64_t correction = d.pick<int64_t>({0, 1});
                for (int i = 0; i < shape.rank(); ++i) correction = shape[i] == 1 ? 0 : correction;
                correction = shape.rank() == 0 ? 0 : correction;
                return Sample{.inputs = {d.normal(shape)},
                              .call = [=](Inputs x) { return f(x[0], dims, correction, keepdim); },
                              .formula =
                                  [=](std::span<const Tensor> x) {
                                    return by_groups(x[0], dims, keepdim, [=](Numbers v) {
                                      const double m = average(v);
                                      for (double& e : v) e = (e - m) * (e - m);
                                      const double s =
                                          total(v) / std::max(static_cast<double>(v.size()) - double(correction), 0.0);
                                      return root ? std::sqrt(s) : s;
                                    });
                                  }};
              },
          .misuses = {{"dim 2 is out of range",
                       [f] {
                         f(f32_of({2, 3}), {2}, 1, false);
                       }}},
          .f32 = {1e-5, 2e-6}};  // few elements that lie close together have small deviations
}

Row norm_row() {
  return {.name = "norm",
          .draw =
              [](Draw& d) {
                const Shape shape = tensor_shape(d);
                const Dims dims = d.dims(shape);
                const bool keepdim = d.chance();
                const bool empty = d.sizes() == Sizes::empty;
                const double p = empty ? 2 : d.pick({2.0, 1.0, 3.0, 2.5, 0.5, double(INFINITY), -double(INFINITY)});
                return Sample{.inputs = {d.off_zero(shape)},
                              .call = [=](Inputs x) { return norm(x[0], p, dims, keepdim); },
                              .formula =
                                  [=](std::span<const Tensor> x) {
                                    return by_groups(x[0], dims, keepdim, [=](Numbers v) {
                                      for (double& e : v) e = std::isinf(p) ? std::abs(e) : std::pow(std::abs(e), p);
                                      return std::isinf(p) ? (p > 0 ? largest(v) : smallest(v))
                                                           : std::pow(total(v), 1 / p);
                                    });
                                  }};
              },
          .misuses = {{"p must be a number", [] { norm(f32_of({2}), NAN); }},
                      {"has no largest element", [] { norm(f32_of({0}), INFINITY); }}},
          .f32 = {1e-5, 2e-6}};  // of powers: 1/p multiplies their error for p = 0.5
}

}  // namespace

std::vector<Row> reduce_rows() {
  std::vector<Row> rows = folds();
  const Fold first_largest = [](Numbers v) { return double(std::max_element(v.begin(), v.end()) - v.begin()); };
  const Fold first_smallest = [](Numbers v) { return double(std::min_element(v.begin(), v.end()) - v.begin()); };
  for (Row& row : std::vector<Row>{
           prod_row(), sum_to_row(), extremum_row("max", max, largest), extremum_row("min", min, smallest),
           place_row("argmax", argmax, argmax, first_largest), place_row("argmin", argmin, argmin, first_smallest),
           deviation_row("var", var, false), deviation_row("std", std, true), norm_row()}) {
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sfumato::testing
