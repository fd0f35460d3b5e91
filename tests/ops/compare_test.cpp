#include "tensor/ops/compare.h"

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "catch.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/scan.h"
#include "tensor/ops/view.h"

using namespace sfumato;

namespace {
using Values = std::vector<double>;
const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();
}  // namespace

TEST_CASE("compare: six relations, all dtypes but bf16, result bool", "[tensor][compare]") {
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::i32, DType::u8}) {
    const Tensor a = tensor_of({1, 2, 3}, {3}, dtype);
    const Tensor b = tensor_of({3, 2, 1}, {3}, dtype);
    CHECK(eq(a, b).dtype() == DType::boolean);
    CHECK(eq(a, b).to_vector() == Values{0, 1, 0});
    CHECK(ne(a, b).to_vector() == Values{1, 0, 1});
    CHECK(lt(a, b).to_vector() == Values{1, 0, 0});
    CHECK(le(a, b).to_vector() == Values{1, 1, 0});
    CHECK(gt(a, b).to_vector() == Values{0, 0, 1});
    CHECK(ge(a, b).to_vector() == Values{0, 1, 1});
    CHECK(gt(a, 1.5).to_vector() == Values{0, 1, 1});  // an integer tensor is not compared with 1
    CHECK(le(a, 2.0).to_vector() == Values{1, 1, 0});
    CHECK(lt(a, 1e30).to_vector() == Values{1, 1, 1});  // nor with a wrapped 1e30
    CHECK(ge(a, -kInf).to_vector() == Values{1, 1, 1});
  }
  CHECK(eq(lt(tensor_of({1, 2}, {2}), 2.0), tensor_of({1, 1}, {2}, DType::boolean)).to_vector() == Values{1, 0});
  // A number takes the tensor's dtype: 0.1 compared with an f32 is the f32 nearest to 0.1.
  CHECK(eq(full({1}, 0.1), 0.1).item() == 1);
  const Tensor big = full({1}, 0, DType::i64);
  Tensor exact = big;
  exact.mutable_data<int64_t>()[0] = (int64_t{1} << 53) + 1;
  CHECK(eq(exact, 0x1p53).item() == 0);  // i64 is compared as i64, not as a rounded double
}

TEST_CASE("compare: NaN, broadcasting, views, empties and rank 0", "[tensor][compare]") {
  const Tensor nan = full({1}, kNan);
  CHECK(eq(nan, nan).item() == 0);
  CHECK(ne(nan, nan).item() == 1);
  CHECK(ge(nan, 0.0).item() == 0);
  const Tensor row = arange(0, 3);
  const Tensor column = reshape(arange(0, 2), {2, 1});
  CHECK(gt(row, column).to_vector() == Values{0, 1, 1, 0, 0, 1});
  CHECK(lt(column, row).to_vector() == Values{0, 1, 1, 0, 0, 1});
  CHECK(eq(transpose(reshape(arange(0, 6), {2, 3}), 0, 1), 3.0).to_vector() == Values{0, 1, 0, 0, 0, 0});
  CHECK(eq(zeros({0, 3}), 0.0).shape() == Shape{0, 3});
  CHECK(lt(scalar(1), 2.0).shape() == Shape{});
  const Tensor large = arange(0, 100000);
  CHECK(sum(ge(large, 40000.0).to(DType::f64)).item() == 60000);
}

TEST_CASE("where and masked_fill choose by a bool tensor", "[tensor][compare]") {
  const Tensor chosen = tensor_of({1, 0, 1}, {3}, DType::boolean);
  CHECK(where(chosen, arange(0, 3), full({3}, 9)).to_vector() == Values{0, 9, 2});
  CHECK(where(chosen, scalar(1), reshape(arange(0, 2), {2, 1})).to_vector() == Values{1, 0, 1, 1, 1, 1});
  CHECK(where(reshape(tensor_of({1, 0}, {2}, DType::boolean), {2, 1}), arange(0, 3), zeros({3})).to_vector() ==
        Values{0, 1, 2, 0, 0, 0});
  CHECK(where(chosen, ones({3}, DType::u8), zeros({3}, DType::u8)).to_vector() == Values{1, 0, 1});
  CHECK(where(chosen, zeros({3}), full({3}, kNan)).to_vector()[0] == 0);  // what is not chosen is not touched
  const Tensor x = reshape(arange(0, 6), {2, 3});
  CHECK(masked_fill(x, chosen, -1).to_vector() == Values{-1, 1, -1, -1, 4, -1});
  CHECK(masked_fill(transpose(x, 0, 1), tensor_of({1, 0}, {2}, DType::boolean), -1).to_vector() ==
        Values{-1, 3, -1, 4, -1, 5});
  CHECK(x.to_vector() == Values{0, 1, 2, 3, 4, 5});
}

TEST_CASE("all_finite and allclose", "[tensor][compare]") {
  Tensor x = zeros({70001});
  CHECK(all_finite(x));
  for (const double bad : {kNan, kInf, -kInf}) {
    for (const int64_t at : {int64_t{0}, int64_t{12345}, int64_t{70000}}) {
      Tensor y = x.clone();
      y.mutable_data<float>()[at] = static_cast<float>(bad);
      CHECK_FALSE(all_finite(y));
      CHECK_FALSE(all_finite(y.to(DType::f64)));
      CHECK_FALSE(all_finite(y.to(DType::bf16)));
    }
  }
  CHECK(all_finite(full({2}, std::numeric_limits<float>::max())));  // large is not infinite
  CHECK(all_finite(zeros({3}, DType::i64)));
  CHECK(all_finite(zeros({0})));

  const Tensor a = tensor_of({1, 100}, {2}, DType::f64);
  CHECK(allclose(a, a + 0.9e-3, 0, 1e-3));
  CHECK_FALSE(allclose(a, a + 1.1e-3, 0, 1e-3));
  CHECK(allclose(a * 1.0009, a, 1e-3, 0));
  CHECK_FALSE(allclose(a * 1.0011, a, 1e-3, 0));
  CHECK(allclose(full({2}, kInf), full({2}, kInf)));
  CHECK_FALSE(allclose(full({2}, kInf), full({2}, -kInf)));
  CHECK_FALSE(allclose(full({2}, 1), full({2}, kInf)));
  CHECK_FALSE(allclose(full({2}, kNan), full({2}, kNan)));
  CHECK(allclose(zeros({2, 3}), zeros({3})));
}

TEST_CASE("compare: errors name the op, the rule and what was received", "[tensor][compare]") {
  CHECK_THROWS_WITH(lt(zeros({2}), zeros({3})), ContainsSubstring("lt: shapes (2,) and (3,) do not broadcast"));
  CHECK_THROWS_WITH(where(zeros({2}), zeros({2}), zeros({2})), ContainsSubstring("where: the condition must be bool"));
  const Tensor mask = zeros({2, 2}, DType::boolean);
  CHECK_THROWS_WITH(masked_fill(zeros({2}), mask, 0), ContainsSubstring("does not broadcast to the input (2,)"));
  CHECK_THROWS_WITH(masked_fill(zeros({2}), zeros({2}), 0), ContainsSubstring("masked_fill: the mask must be bool"));
}

TEST_CASE("cumsum: a long sum keeps f32's accuracy", "[tensor][scan]") {
  CHECK(cumsum(arange(0, 4), -1).to_vector() == Values{0, 1, 3, 6});
  CHECK(cumsum(arange(0, 4), 0, true).to_vector() == Values{6, 6, 5, 3});
  // Summed in f64: 2^24 + 1 + 1 + ... in f32 would stay at 2^24.
  Tensor large = ones({101});
  large.mutable_data<float>()[0] = 0x1p24f;
  CHECK(cumsum(large, 0).to_vector().back() == 0x1p24 + 100);
}
