// Rows of sorting and of what follows from order ("autograd/ops/sort.h", "tensor/ops/sort.h").
#include <algorithm>
#include <numeric>

#include "autograd/ops/sort.h"
#include "tests/ops/lines.h"

namespace sfumato::testing {
namespace {

// The places of a line's elements in order.
std::vector<size_t> order_of(const Numbers& v, bool descending) {
  std::vector<size_t> order(v.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return descending ? v[a] > v[b] : v[a] < v[b]; });
  return order;
}
Numbers sorted(const Numbers& v, bool descending) {
  Numbers result;
  for (const size_t i : order_of(v, descending)) result.push_back(v[i]);
  return result;
}

Row sort_row() {
  return {.name = "sort",
          .dtypes = kAllDTypes,
          .draw =
              [](Draw& d) {
                const auto [shape, dim] = axis(d);
                const bool descending = d.chance();
                return Sample{.inputs = {values_of(d, shape)},
                              .call = [=, dim = dim](Inputs x) { return sort(x[0], dim, descending).values; },
                              .formula =
                                  [=, dim = dim](std::span<const Tensor> x) {
                                    return by_lines(x[0], dim, [=](const Numbers& v) { return sorted(v, descending); });
                                  }};
              },
          .misuses = {{"dim 2 is out of range", [] {
                         sort(f32_of({2, 3}), 2);
                       }}}};
}

Row argsort_row() {
  return {.name = "argsort",
          .dtypes = kAllDTypes,
          .draw =
              [](Draw& d) {
                const auto [shape, dim] = axis(d);
                const bool descending = d.chance();
                return Sample{
                    .inputs = {d.dtype() == DType::boolean ? d.bits(shape) : d.normal(shape)},
                    .call = [=, dim = dim](Inputs x) { return Variable(argsort(x[0].tensor(), dim, descending)); },
                    .formula =
                        [=, dim = dim](std::span<const Tensor> x) {
                          return by_lines(x[0], dim, [=](const Numbers& v) {
                            const auto order = order_of(v, descending);
                            return Numbers(order.begin(), order.end());
                          });
                        }};
              },
          .misuses = {{"dim 2 is out of range",
                       [] {
                         argsort(f32_of({2, 3}), 2);
                       }}},
          .differentiable = false,
          .result = always_i64};
}

Row topk_row() {
  return {.name = "topk",
          .dtypes = kAllDTypes,
          .draw =
              [](Draw& d) {
                const auto [shape, dim] = axis(d);
                const int64_t k = shape.rank() == 0 ? 1 : d.integer(0, shape[normalize_dim("topk", dim, shape.rank())]);
                const bool largest = d.chance();
                return Sample{
                    .inputs = {values_of(d, shape)},
                    .call = [=, dim = dim](Inputs x) { return topk(x[0], k, dim, {.largest = largest}).values; },
                    .formula =
                        [=, dim = dim](std::span<const Tensor> x) {
                          return by_lines(x[0], dim, [=](const Numbers& v) {
                            Numbers all = sorted(v, largest);
                            all.resize(static_cast<size_t>(k));
                            return all;
                          });
                        }};
              },
          .misuses = {{"k must be 0 to 3",
                       [] {
                         topk(f32_of({2, 3}), 4);
                       }},
                      {"k must be 0 to 3", [] {
                         topk(f32_of({2, 3}), -1);
                       }}}};
}

using Chosen = Variable (*)(const Variable&, int64_t, bool, double);

// One element of every line, or between two: `place` is where in the sorted line, for an argument of the call.
Row order_statistic(const char* name,
                    Chosen f,
                    DTypeSet dtypes,
                    std::function<double(const Numbers& sorted, double argument)> value) {
  return {.name = name, .dtypes = dtypes, .draw = [=](Draw& d) {
            const auto [shape, dim] = nonempty_axis(d);
            const bool keepdim = d.chance();
            const double argument = d.pick({0.0, 1.0, 0.5, 0.25, 0.9});
            const Dims dims = listed({shape, dim});
            return Sample{.inputs = {values_of(d, shape)},
                          .call = [=, dim = dim](Inputs x) { return f(x[0], dim, keepdim, argument); },
                          .formula =
                              [=](std::span<const Tensor> x) {
                                return by_groups(x[0], dims, keepdim,
                                                 [&](const Numbers& v) { return value(sorted(v, false), argument); });
                              }};
          }};
}

int64_t kth_of(int64_t n, double part) { return 1 + static_cast<int64_t>(part * static_cast<double>(n - 1)); }

std::vector<Row> order_statistics() {
  std::vector<Row> rows{
      order_statistic(
          "median", [](const Variable& x, int64_t dim, bool keep, double) { return median(x, dim, keep).values; },
          kAllDTypes, [](const Numbers& v, double) { return v[(v.size() - 1) / 2]; }),
      order_statistic(
          "kthvalue",
          [](const Variable& x, int64_t dim, bool keep, double part) {
            return kthvalue(x, kth_of(x.dim() == 0 ? 1 : x.size(dim), part), dim, keep).values;
          },
          kAllDTypes,
          [](const Numbers& v, double part) {
            return v[static_cast<size_t>(kth_of(static_cast<int64_t>(v.size()), part) - 1)];
          }),
      order_statistic(
          "quantile", [](const Variable& x, int64_t dim, bool keep, double q) { return quantile(x, q, dim, keep); },
          kReals,
          [](const Numbers& v, double q) {
            const double place = q * static_cast<double>(v.size() - 1);
            const auto low = static_cast<size_t>(place);
            const size_t high = std::min(low + 1, v.size() - 1);
            return v[low] + (place - static_cast<double>(low)) * (v[high] - v[low]);
          }),
  };
  rows[0].misuses = {{"is empty and has no median", [] { median(f32_of({2, 0}), 1); }}};
  rows[1].misuses = {{"k must be 1 to 3",
                      [] {
                        kthvalue(f32_of({2, 3}), 0);
                      }},
                     {"k must be 1 to 3", [] {
                        kthvalue(f32_of({2, 3}), 4);
                      }}};
  rows[2].misuses = {{"q must be 0 to 1, got 1.5", [] { quantile(f32_of({2}), 1.5); }},
                     {"is empty and has no quantile", [] {
                        quantile(f32_of({2, 0}), 0.5, 1);
                      }}};
  return rows;
}

// By counting; `list` is one line, or one for every line of values.
Tensor counted(const Tensor& list, const Tensor& values, bool right) {
  const Numbers entries = list.to_vector(), wanted = values.to_vector();
  const auto n = static_cast<size_t>(list.size(-1));
  const size_t per_list = list.dim() == 1 ? std::max<size_t>(wanted.size(), 1) : static_cast<size_t>(values.size(-1));
  Numbers places;
  for (size_t i = 0; i < wanted.size(); ++i) {
    int64_t place = 0;
    for (size_t j = 0; j < n; ++j) {
      const double entry = entries[i / per_list * n + j];
      place += right ? entry <= wanted[i] : entry < wanted[i];
    }
    places.push_back(static_cast<double>(place));
  }
  return tensor_of(places, values.shape(), DType::f64);
}

std::vector<Row> searches() {
  const auto numbers = [](Draw& d, const Shape& shape) {
    return d.dtype() == DType::boolean ? d.bits(shape) : d.normal(shape);
  };
  std::vector<Row> rows;
  rows.push_back(
      {.name = "searchsorted",
       .dtypes = kAllDTypes,
       .draw =
           [numbers](Draw& d) {
             const bool right = d.chance(), many = d.chance();
             const Shape values = many ? Shape{d.batch(), d.size(30)} : d.shape();
             const Shape list = many ? Shape{values[0], d.size(40)} : Shape{d.batch(40)};
             return Sample{
                 .inputs = {sort(numbers(d, list)).values, numbers(d, values)},
                 .call = [=](Inputs x) { return Variable(searchsorted(x[0].tensor(), x[1].tensor(), right)); },
                 .formula = [=](std::span<const Tensor> x) { return counted(x[0], x[1], right); }};
           },
       .misuses = {{"the leading dimensions of (3, 4), got (2, 5)",
                    [] {
                      searchsorted(f32_of({2, 5}), f32_of({3, 4}));
                    }},
                   {"must have rank 1", [] { searchsorted(f32_of({}), f32_of({})); }}},
       .differentiable = false,
       .result = always_i64});
  rows.push_back({.name = "bucketize",
                  .dtypes = kAllDTypes,
                  .draw =
                      [numbers](Draw& d) {
                        const bool right = d.chance();
                        return Sample{
                            .inputs = {numbers(d, d.shape()), sort(numbers(d, {d.size(40)})).values},
                            .call = [=](Inputs x) { return Variable(bucketize(x[0].tensor(), x[1].tensor(), right)); },
                            .formula = [=](std::span<const Tensor> x) { return counted(x[1], x[0], right); }};
                      },
                  .misuses = {{"boundaries must have rank 1, got (1, 2)",
                               [] {
                                 bucketize(f32_of({2}), f32_of({1, 2}));
                               }}},
                  .differentiable = false,
                  .result = always_i64});
  return rows;
}

Row histc_row() {
  return {.name = "histc",
          .dtypes = kReals,
          .draw =
              [](Draw& d) {
                const int64_t bins = d.size(30);
                const double low = d.pick({-1.0, 0.0}), high = low == 0 ? 0 : 0.75;  // 0, 0: the range of the data
                return Sample{.inputs = {d.normal(d.shape())},
                              .call = [=](Inputs x) { return Variable(histc(x[0].tensor(), bins, low, high)); },
                              .formula =
                                  [=](std::span<const Tensor> x) {
                                    const Numbers v = x[0].to_vector();
                                    double from = low, to = high;
                                    if (low == high && !v.empty()) {
                                      from = *std::min_element(v.begin(), v.end());
                                      to = *std::max_element(v.begin(), v.end());
                                    }
                                    if (from == to) from -= 1, to += 1;
                                    Numbers counts(static_cast<size_t>(bins));
                                    for (const double e : v) {
                                      if (e < from || e > to) continue;
                                      const double bin = std::floor((e - from) / (to - from) * double(bins));
                                      ++counts[static_cast<size_t>(std::min(bin, double(bins - 1)))];
                                    }
                                    return tensor_of(counts, {bins}, DType::f64);
                                  }};
              },
          .misuses = {{"at least one bin", [] { histc(f32_of({2}), 0); }},
                      {"the range must be finite", [] { histc(f32_of({2}), 2, 1, 0); }},
                      {"the range must be finite", [] { histc(full({2}, NAN), 2); }}},
          .differentiable = false};
}

}  // namespace

std::vector<Row> sort_rows() {
  std::vector<Row> rows{sort_row(), argsort_row(), topk_row(), histc_row()};
  for (auto family : {order_statistics, searches}) {
    for (Row& row : family()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sfumato::testing
