// Factories: their values in every dtype, their shapes, and what they refuse.
#include "catch.h"

#include "tensor/ops/creation.h"
#include "tensor/ops/index.h"

using namespace sfumato;
using Values = std::vector<double>;

namespace {

constexpr DType kEvery[] = {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::boolean, DType::u8};

// What 3 is in a dtype.
double three(DType dtype) { return dtype == DType::boolean ? 1 : 3; }

void expect(const Tensor& x, DType dtype, const Shape& shape, const Values& values) {
  CAPTURE(name_of(dtype));
  CHECK(x.dtype() == dtype);
  CHECK(x.shape() == shape);
  CHECK(x.to_vector() == values);
}

}  // namespace

TEST_CASE("creation: one value everywhere, in every dtype", "[tensor][creation]") {
  for (const DType dtype : kEvery) {
    const double t = three(dtype);
    expect(full({2, 2}, 3, dtype), dtype, {2, 2}, {t, t, t, t});
    expect(zeros({3}, dtype), dtype, {3}, {0, 0, 0});
    expect(ones({3}, dtype), dtype, {3}, {1, 1, 1});
    expect(scalar(3, dtype), dtype, {}, {t});
    const Tensor model = zeros({1, 2}, dtype);
    expect(full_like(model, 3), dtype, {1, 2}, {t, t});
    expect(zeros_like(full_like(model, 3)), dtype, {1, 2}, {0, 0});
    expect(ones_like(model), dtype, {1, 2}, {1, 1});
    CHECK(empty_like(model).shape() == Shape{1, 2});
    CHECK(empty_like(model).dtype() == dtype);
    CHECK(empty({0, 5}, dtype).numel() == 0);
    CHECK_FALSE(empty_like(model).shares_storage_with(model));
  }
}

TEST_CASE("creation: values that differ, in every dtype", "[tensor][creation]") {
  for (const DType dtype : kEvery) {
    const double t = three(dtype);
    expect(tensor_of({0, 1, 3, 0}, {2, 2}, dtype), dtype, {2, 2}, {0, 1, t, 0});
    expect(eye(2, dtype), dtype, {2, 2}, {1, 0, 0, 1});
    if (dtype == DType::boolean) continue;
    expect(arange(1, 8, 3, dtype), dtype, {3}, {1, 4, 7});
    expect(linspace(0, 12, 4, dtype), dtype, {4}, {0, 4, 8, 12});
  }
  CHECK(arange(7, 1, -3).to_vector() == Values{7, 4});
  CHECK(arange(0, 5, -1).numel() == 0);
  CHECK(linspace(3, -1, 3).to_vector() == Values{3, 1, -1});
  CHECK(linspace(0, 1, 0).numel() == 0);
  CHECK(one_hot(tensor_of({2, 0}, {2}, DType::i64), 3).to_vector() == Values{0, 0, 1, 1, 0, 0});
}

TEST_CASE("creation: what cannot be created is refused by name", "[tensor][creation]") {
  CHECK_THROWS_WITH(tensor_of({1, 2, 3}, {2}), ContainsSubstring("tensor_of: 3 values for shape (2,)"));
  CHECK_THROWS_WITH(arange(0, 1, 0), ContainsSubstring("arange: start, end and step must be finite"));
  CHECK_THROWS_WITH(arange(0, 1e300), ContainsSubstring("arange: 1e+300 elements are too many"));
  CHECK_THROWS_WITH(linspace(0, 1, -1), ContainsSubstring("linspace: count must not be negative, got -1"));
  CHECK_THROWS_AS(eye(-1), Error);
  CHECK_THROWS_AS(zeros({-1}), Error);
}
