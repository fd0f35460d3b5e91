#include "tensor/ops/view.h"

#include <limits>
#include <vector>

#include "autograd/gradcheck.h"
#include "autograd/variable.h"
#include "catch.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  return arange(0, static_cast<double>(shape.numel()), 1, dtype).reshape(shape);
}

void check_gradients(const DifferentiableFunction& f, const Tensor& x) {
  std::string why;
  const bool first = gradcheck(f, {x}, {}, &why);
  INFO(why);
  CHECK(first);
  const bool second = gradgradcheck(f, {x}, {}, &why);
  INFO(why);
  CHECK(second);
}

}  // namespace

TEST_CASE("view: every view shares storage and the modification counter", "[tensor][view]") {
  Tensor x = counting({2, 3, 4});
  const Tensor views[] = {reshape(x, {6, 4}),      flatten(x),
                          permute(x, {2, 0, 1}),   transpose(x, 0, 2),
                          expand(x, {5, 2, 3, 4}), unsqueeze(x, 1),
                          slice(x, 2, 1, 4, 2),    narrow(x, 1, 1, 2),
                          select(x, 0, 1),         squeeze(reshape(x, {2, 1, 12}), 1)};
  const uint64_t before = x.version();
  for (const Tensor& view : views) {
    CHECK(view.shares_storage_with(x));
    CHECK(view.version() == before);
  }
  x.mutable_data<float>()[23] = 100;  // the last element: the last of most views
  for (const Tensor& view : views) {
    CHECK(view.version() == before + 1);
  }
  CHECK(views[1].to_vector().back() == 100);
  CHECK(views[8].to_vector().back() == 100);
  Tensor corner = narrow(narrow(x, 0, 1, 1), 1, 2, 1);
  corner.fill(-1);  // and writing through a view reaches the tensor
  CHECK(x.to_vector()[20] == -1);
  CHECK(x.to_vector()[19] == 19);
}

TEST_CASE("view: reshape infers -1, views where strides allow it and copies where not", "[tensor][view]") {
  const Tensor x = counting({2, 3, 4});
  CHECK(reshape(x, {-1, 4}).shape() == Shape{6, 4});
  CHECK(reshape(x, {3, -1}).shape() == Shape{3, 8});
  CHECK(reshape(counting({1}), {}).shape() == Shape{});
  CHECK(reshape(scalar(3), {1, -1, 1}).shape() == Shape{1, 1, 1});

  SECTION("a transposed tensor is copied, in row-major order of what it shows") {
    const Tensor t = reshape(transpose(x, 0, 2), {-1, 3});
    CHECK_FALSE(t.shares_storage_with(x));
    CHECK(t.to_vector() == transpose(x, 0, 2).to_vector());
  }
  SECTION("gaps between groups do not matter while each group is dense") {
    const Tensor rows = slice(counting({4, 6}), 1, 0, 4);  // strides (6, 1)
    const Tensor split = reshape(rows, {2, 2, 2, 2});
    CHECK(split.shares_storage_with(rows));
    CHECK(split.strides() == Strides{12, 6, 2, 1});
    CHECK(split.to_vector() == rows.to_vector());
    CHECK_FALSE(reshape(rows, {16}).shares_storage_with(rows));  // would need one stride across the gap
    CHECK(reshape(rows, {16}).to_vector() == rows.to_vector());
    CHECK_FALSE(reshape(rows, {8, 2}).shares_storage_with(counting({1})));
    CHECK(reshape(rows, {8, 2}).to_vector() == rows.to_vector());
  }
  SECTION("outer dimensions of a permuted tensor merge, size-1 dimensions never stand in the way") {
    const Tensor p = permute(counting({2, 3, 4, 5}), {2, 3, 0, 1});  // (4, 5, 2, 3), strides (5, 1, 60, 20)
    const Tensor merged = reshape(p, {20, 6});
    CHECK(merged.shares_storage_with(p));
    CHECK(merged.to_vector() == p.to_vector());
    const Tensor odd = reshape(unsqueeze(transpose(counting({3, 4}), 0, 1), 1), {1, 4, 1, 3, 1});
    CHECK(odd.strides()[1] == 1);
    CHECK(odd.strides()[3] == 4);
    CHECK(odd.to_vector() == transpose(counting({3, 4}), 0, 1).to_vector());
  }
  SECTION("a broadcast dimension stays broadcast") {
    const Tensor wide = expand(reshape(counting({3}), {1, 3}), {4, 3});
    CHECK(reshape(wide, {2, 2, 3}).shares_storage_with(wide));
    CHECK(reshape(wide, {12}).to_vector() == wide.to_vector());
  }
  SECTION("empty") {
    CHECK(reshape(zeros({0, 4}), {2, 0}).shape() == Shape{2, 0});
    CHECK(reshape(zeros({0, 4}), {-1, 4}).shape() == Shape{0, 4});
    CHECK_THROWS_WITH(reshape(zeros({0, 4}), {-1, 0}), ContainsSubstring("cannot infer -1"));
  }
}

TEST_CASE("view: reshape agrees with a copy for every split of many layouts", "[tensor][view]") {
  // Catches any wrong stride rule: the copy's order is the definition.
  const Tensor base = counting({4, 6, 4, 2});
  const Tensor layouts[] = {base,
                            permute(base, {0, 2, 1, 3}),
                            permute(base, {3, 0, 1, 2}),
                            slice(base, 1, 0, 6, 3),
                            slice(base, 3, 0, 1),
                            select(base, 2, 1),
                            expand(unsqueeze(select(base, 0, 0), 0), {3, 6, 4, 2}),
                            slice(transpose(base, 0, 1), 2, 1, 4)};
  for (const Tensor& x : layouts) {
    for (int64_t a = 1; a <= 16; ++a) {
      for (int64_t b = 1; b <= 16; ++b) {
        if (x.numel() % (a * b) == 0) {
          CHECK(reshape(x, {a, b, -1}).to_vector() == x.clone().to_vector());
        }
      }
    }
  }
}

TEST_CASE("view: flatten, permute, transpose", "[tensor][view]") {
  const Tensor x = counting({2, 3, 4, 5});
  CHECK(flatten(x).shape() == Shape{120});
  CHECK(flatten(x, 1).shape() == Shape{2, 60});
  CHECK(flatten(x, 1, 2).shape() == Shape{2, 12, 5});
  CHECK(flatten(x, -3, -2).shape() == Shape{2, 12, 5});
  CHECK(flatten(x, 2, 2).shape() == x.shape());
  CHECK(flatten(scalar(1)).shape() == Shape{1});
  const Tensor p = permute(counting({2, 3}), {-1, 0});
  CHECK(p.shape() == Shape{3, 2});
  CHECK(p.to_vector() == Values{0, 3, 1, 4, 2, 5});
  CHECK(transpose(counting({2, 3}), -2, -1).to_vector() == p.to_vector());
  CHECK(permute(scalar(1), {}).shape() == Shape{});
  CHECK(transpose(zeros({0, 3}), 0, 1).shape() == Shape{3, 0});
}

TEST_CASE("view: expand", "[tensor][view]") {
  const Tensor x = reshape(counting({3}), {3, 1});
  const Tensor wide = expand(x, {2, 3, 2});
  CHECK(wide.strides() == Strides{0, 1, 0});
  CHECK(wide.to_vector() == Values{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  CHECK(expand(x, {4, -1, 5}).shape() == Shape{4, 3, 5});
  CHECK(expand(scalar(7), {2, 2}).to_vector() == Values{7, 7, 7, 7});
  CHECK(expand(x, {3, 0}).shape() == Shape{3, 0});
}

TEST_CASE("view: unsqueeze, squeeze, select", "[tensor][view]") {
  const Tensor x = counting({2, 3});
  CHECK(unsqueeze(x, 0).shape() == Shape{1, 2, 3});
  CHECK(unsqueeze(x, 2).shape() == Shape{2, 3, 1});
  CHECK(unsqueeze(x, -1).shape() == Shape{2, 3, 1});
  CHECK(unsqueeze(x, -3).shape() == Shape{1, 2, 3});
  CHECK(unsqueeze(scalar(1), 0).shape() == Shape{1});
  CHECK(unsqueeze(x, 1).is_contiguous());
  CHECK(squeeze(unsqueeze(x, 1), -2).shape() == Shape{2, 3});
  CHECK(squeeze(x, 0).shape() == Shape{2, 3});  // not of size 1: nothing happens, as in PyTorch
  CHECK(squeeze(scalar(1), 0).shape() == Shape{});
  CHECK(select(x, 0, 1).to_vector() == Values{3, 4, 5});
  CHECK(select(x, 0, -2).to_vector() == Values{0, 1, 2});
  CHECK(select(x, -1, -1).to_vector() == Values{2, 5});
  CHECK(select(counting({3}), 0, 2).item() == 2);
}

TEST_CASE("view: slice follows Python", "[tensor][view]") {
  const Tensor x = counting({6});
  CHECK(slice(x, 0, 1, 4).to_vector() == Values{1, 2, 3});
  CHECK(slice(x, 0, 0, 6, 2).to_vector() == Values{0, 2, 4});
  CHECK(slice(x, 0, 1, 6, 2).to_vector() == Values{1, 3, 5});
  CHECK(slice(x, 0, 1, 6, 4).to_vector() == Values{1, 5});
  CHECK(slice(x, 0, 5, 6, 4).to_vector() == Values{5});
  CHECK(slice(x, 0, -2, 100).to_vector() == Values{4, 5});
  CHECK(slice(x, 0, -100, -4).to_vector() == Values{0, 1});
  CHECK(slice(x, 0, 4, 2).shape() == Shape{0});
  CHECK(slice(x, 0, 6, 9).shape() == Shape{0});
  CHECK(slice(x, 0, 0, std::numeric_limits<int64_t>::max(), 1000).to_vector() == Values{0});
  CHECK(slice(transpose(counting({2, 3}), 0, 1), 0, 1, 3).to_vector() == Values{1, 4, 2, 5});
  CHECK(narrow(x, -1, 2, 3).to_vector() == Values{2, 3, 4});
  CHECK(narrow(x, 0, 6, 0).shape() == Shape{0});
  CHECK(slice(slice(x, 0, 1, 6, 2), 0, 1, 3, 1).to_vector() == Values{3, 5});
}

TEST_CASE("view: errors name the op, the rule and what was received", "[tensor][view]") {
  const Tensor x = zeros({2, 3});
  CHECK_THROWS_WITH(reshape(x, {4, 2}), ContainsSubstring("reshape: shape (4, 2) has 8 elements but the input (2, 3)"));
  CHECK_THROWS_WITH(reshape(x, {-1, -1}), ContainsSubstring("only one size may be -1"));
  CHECK_THROWS_WITH(reshape(x, {-1, 4}), ContainsSubstring("cannot infer -1"));
  CHECK_THROWS_WITH(reshape(x, {-2, 3}), ContainsSubstring("negative size"));
  CHECK_THROWS_WITH(flatten(x, 1, 0), ContainsSubstring("flatten: start dim 1 comes after end dim 0"));
  CHECK_THROWS_WITH(permute(x, {0}), ContainsSubstring("permute: 1 dims"));
  CHECK_THROWS_WITH(permute(x, {1, -1}), ContainsSubstring("dim 1 appears twice"));
  CHECK_THROWS_WITH(transpose(x, 0, 2), ContainsSubstring("transpose: dim 2 is out of range for rank 2"));
  CHECK_THROWS_WITH(expand(x, {3}), ContainsSubstring("fewer dimensions"));
  CHECK_THROWS_WITH(expand(x, {4, 3}), ContainsSubstring("cannot come from size 2"));
  CHECK_THROWS_WITH(expand(x, {-1, 2, 3}), ContainsSubstring("-1 keeps a size that exists"));
  CHECK_THROWS_WITH(unsqueeze(x, 4), ContainsSubstring("unsqueeze: dim 4"));
  CHECK_THROWS_WITH(squeeze(x, 2), ContainsSubstring("squeeze: dim 2"));
  CHECK_THROWS_WITH(slice(x, 0, 0, 1, 0), ContainsSubstring("step must be at least 1, got 0"));
  CHECK_THROWS_WITH(slice(scalar(1), 0, 0, 1), ContainsSubstring("rank 0"));
  CHECK_THROWS_WITH(narrow(x, 1, 2, 2), ContainsSubstring("do not lie within its size 3"));
  CHECK_THROWS_WITH(narrow(x, 1, -1, 2), ContainsSubstring("narrow"));
  CHECK_THROWS_WITH(select(x, 1, 3), ContainsSubstring("select: index 3 is out of range for dimension 1 of size 3"));
  CHECK_THROWS_AS(select(x, 1, -4), std::invalid_argument);
}

TEST_CASE("view: gradients of first and second order", "[autograd][view]") {
  const Tensor x = linspace(-1, 1, 24, DType::f64).reshape({2, 3, 4});
  using Span = std::span<const Variable>;
  // Squared, so that the second derivative is not zero.
  check_gradients([](Span v) { return square(reshape(transpose(v[0], 0, 2), {-1, 3})); }, x);
  check_gradients([](Span v) { return square(flatten(v[0], 1)); }, x);
  check_gradients([](Span v) { return square(permute(v[0], {2, 0, -2})); }, x);
  check_gradients([](Span v) { return square(transpose(v[0], -1, 0)); }, x);
  check_gradients([](Span v) { return square(expand(unsqueeze(v[0], 1), {2, 2, 3, 4})); }, x);
  check_gradients([](Span v) { return square(expand(v[0], {2, 2, 3, 4})); }, x);
  check_gradients([](Span v) { return square(squeeze(unsqueeze(v[0], -1), -1)); }, x);
  check_gradients([](Span v) { return square(slice(v[0], 2, 1, -1)); }, x);
  check_gradients([](Span v) { return square(slice(v[0], 2, 1, 4, 2)); }, x);
  check_gradients([](Span v) { return square(narrow(v[0], 1, 1, 2)); }, x);
  check_gradients([](Span v) { return square(select(v[0], -1, -1)); }, x);
  check_gradients([](Span v) { return square(slice_backward(v[0], {2, 3, 9}, 2, 1, 8, 2)); }, x);
}
