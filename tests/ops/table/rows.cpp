// The whole table, and the formulas that its rows share.
#include <map>

#include "tensor/iterator.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {

const std::vector<Row>& all_rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> rows;
    for (auto family : {unary_rows, arithmetic_rows}) {
      for (Row& row : family()) {
        rows.push_back(std::move(row));
      }
    }
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

std::function<Tensor(std::span<const Tensor>)> each(std::function<double(double)> f) {
  return [f = std::move(f)](std::span<const Tensor> x) {
    Tensor out = x[0].clone();
    double* values = out.mutable_data<double>();
    for (int64_t i = 0; i < out.numel(); ++i) values[i] = f(values[i]);
    return out;
  };
}
std::function<Tensor(std::span<const Tensor>)> each(double (*f)(double)) {
  return each(std::function<double(double)>(f));
}

std::function<Tensor(std::span<const Tensor>)> each_pair(std::function<double(double, double)> f) {
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
