// The whole table, and the formulas that its rows share.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <sstream>

#include "tensor/iterator.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

// SFUMATO_TEST_OPS=conv2d,cumsum keeps these rows alone: what one wants while working on an op.
void keep_chosen(std::vector<Row>& rows) {
  const char* chosen = std::getenv("SFUMATO_TEST_OPS");
  if (chosen == nullptr || *chosen == 0) return;
  std::vector<Row> kept;
  std::stringstream names(chosen);
  for (std::string name; std::getline(names, name, ',');) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.name == name; });
    check(row != rows.end(), "SFUMATO_TEST_OPS: the table has no row ", name);
    kept.push_back(*row);
  }
  rows = std::move(kept);
}

}  // namespace

const std::vector<Row>& all_rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> rows;
    for (auto family :
         {unary_rows, arithmetic_rows, attention_rows, conv_rows, loss_rows, product_rows, resample_rows, view_rows,
          rearrange_rows, join_rows, index_rows, compare_rows, norm_rows, reduce_rows, scan_rows, sort_rows}) {
      for (Row& row : family()) {
        rows.push_back(std::move(row));
      }
    }
    keep_chosen(rows);
    return rows;
  }();
  return all;
}

const Row& row_named(const std::string& name) {
  for (const Row& row : all_rows()) {
    if (row.name == name) return row;
  }
  throw InternalError("the table has no row " + name);
}

int64_t flat(const Shape& shape, const Dims& at) {
  int64_t place = 0;
  for (int d = 0; d < shape.rank(); ++d) place = place * shape[d] + at[d];
  return place;
}

Formula by_index(const Shape& shape,
                 std::function<double(const Dims& at, const std::vector<std::vector<double>>& inputs)> value) {
  return [shape, value = std::move(value)](std::span<const Tensor> x) {
    std::vector<std::vector<double>> inputs;
    for (const Tensor& input : x) inputs.push_back(input.to_vector());
    Tensor out = empty(shape, DType::f64);
    double* to = out.mutable_data<double>();
    Dims at = Dims::filled(shape.rank(), 0);
    for (int64_t i = 0; i < out.numel(); ++i) {
      to[i] = value(at, inputs);
      for (int d = shape.rank() - 1; d >= 0 && ++at[d] == shape[d]; --d) at[d] = 0;
    }
    return out;
  };
}

Formula picked(const Shape& shape, std::function<int64_t(const Dims& at)> place) {
  return by_index(shape, [place = std::move(place)](const Dims& at, const std::vector<std::vector<double>>& inputs) {
    return inputs[0][static_cast<size_t>(place(at))];
  });
}

Formula each(std::function<double(double)> f) {
  return [f = std::move(f)](std::span<const Tensor> x) {
    Tensor out = x[0].clone();
    double* values = out.mutable_data<double>();
    for (int64_t i = 0; i < out.numel(); ++i) values[i] = f(values[i]);
    return out;
  };
}
Formula each_pair(std::function<double(double, double)> f) {
  return [f = std::move(f)](std::span<const Tensor> x) {
    const Shape shape = broadcast_shapes("formula", x[0].shape(), x[1].shape());
    Tensor a = empty(shape, DType::f64), b = empty(shape, DType::f64);
    a.copy_from(x[0]);
    b.copy_from(x[1]);
    double* left = a.mutable_data<double>();
    const double* right = b.data<double>();
    for (int64_t i = 0; i < a.numel(); ++i) left[i] = f(left[i], right[i]);
    return a;
  };
}

}  // namespace sfumato::testing
