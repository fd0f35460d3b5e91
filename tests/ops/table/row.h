// The table that drives the tests of every op: one row says what the op is called, for which dtypes it is declared, how
// to draw a random call of it, and how it is misused. table_test.cpp and its neighbours run every row through the same
// properties: fast = reference = an independent formula, views = copies, one thread = two, derivatives of both orders,
// empty tensors and scalars, bf16 and integers, undeclared dtypes, error messages, modified saved tensors.
//
//   Row row{.name = "softplus",
//           .draw = [](Draw& d) {
//             return Sample{.inputs = {d.normal(d.shape())},
//                           .call = [](Inputs x) { return softplus(x[0]); },
//                           .formula = each([](double v) { return std::log1p(std::exp(v)); })};
//           }};
//
// A new op gets a row in tests/ops/<family>.cpp; coverage_test.cpp fails until it has one.
#pragma once

#include <cmath>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/variable.h"
#include "tests/ops/table/draw.h"

namespace sfumato::testing {

using Inputs = std::span<const Variable>;

// One call of an op: what it is given, and the call itself; arguments that are no inputs are captured by `call`.
struct Sample {
  std::vector<Tensor> inputs;  // f64, with values that the draw's dtype holds exactly
  std::function<Variable(Inputs)> call;
  // The result by plain loops over f64 values, written apart from the library's kernels. Needed where the op is not
  // declared for f64; worth having wherever the op is not a composition of others.
  std::function<Tensor(std::span<const Tensor>)> formula = {};
};

// A wrong call, and what its message must contain beside the op's name.
struct Misuse {
  std::string message;
  std::function<void()> call;
};

// How far a result may be from the f64 result: within relative * |value| + of_largest * max |value| + of_inputs * max
// |input|. The last is for results that may be small because what they are made of cancels.
struct Tolerance {
  double relative = 2e-6;
  double of_largest = 1e-6;
  double of_inputs = 0;
};

// For dtypes whose result has another one.
using ResultDType = DType (*)(DType);
inline DType same_dtype(DType dtype) { return dtype; }
inline DType always_bool(DType) { return DType::boolean; }
inline DType always_i64(DType) { return DType::i64; }
inline DType always_f64(DType) { return DType::f64; }

struct Row {
  std::string name;           // as users call it, and as its errors begin
  DTypeSet dtypes = kFloats;  // of the inputs: any other must throw
  std::function<Sample(Draw&)> draw;
  std::vector<Misuse> misuses = {};
  bool differentiable = true;
  ResultDType result = same_dtype;
  Tolerance f32 = {};
  Tolerance bf16 = {1.0 / 100, 1.0 / 100};  // an op that composes others rounds several times
  // Computed by oneDNN, whose bits may depend on layout and threads: compared within `f32` instead of bit for bit.
  bool by_library = false;
};

// Every family's rows.
std::vector<Row> unary_rows();
std::vector<Row> arithmetic_rows();
std::vector<Row> attention_rows();
std::vector<Row> conv_rows();
std::vector<Row> loss_rows();
std::vector<Row> product_rows();
std::vector<Row> resample_rows();
std::vector<Row> view_rows();
std::vector<Row> rearrange_rows();
std::vector<Row> join_rows();
std::vector<Row> index_rows();
std::vector<Row> compare_rows();
std::vector<Row> norm_rows();
std::vector<Row> reduce_rows();
std::vector<Row> scan_rows();
std::vector<Row> sort_rows();

// All of them.
const std::vector<Row>& all_rows();
// Throws when there is none of that name.
const Row& row_named(const std::string& name);

// ---- formulas ----

using Formula = std::function<Tensor(std::span<const Tensor>)>;
// Where the element at `at` lies in a row-major tensor.
int64_t flat(const Shape& shape, const Dims& at);
// The tensor of `shape` whose element at `at` is value(at, the inputs' elements in row-major order).
Formula by_index(const Shape& shape,
                 std::function<double(const Dims& at, const std::vector<std::vector<double>>& inputs)> value);
// The same of the only input, where the place of an element is all there is to say.
Formula picked(const Shape& shape, std::function<int64_t(const Dims& at)> place);

// f of every element of the only input, or of every pair of elements of two inputs that broadcast.
Formula each(std::function<double(double)> f);
Formula each_pair(std::function<double(double, double)> f);

// A misuse is often a call with this tensor.
inline Tensor f32_of(const Shape& shape) { return ones(shape); }

}  // namespace sfumato::testing
