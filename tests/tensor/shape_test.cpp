#include "tensor/shape.h"

#include "catch.h"

using namespace sfumato;

TEST_CASE("shape: lists, equality, numel and printing", "[tensor]") {
  const Shape shape{2, 3, 4};
  CHECK(shape.rank() == 3);
  CHECK(shape.numel() == 24);
  CHECK(shape[1] == 3);
  CHECK(shape == Shape{2, 3, 4});
  CHECK_FALSE(shape == Shape{2, 3});
  CHECK_FALSE(shape == Shape{2, 3, 5});
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{3, 0}.numel() == 0);
  CHECK(to_string(Shape{}) == "()");
  CHECK(to_string(Shape{5}) == "(5,)");
  CHECK(to_string(shape) == "(2, 3, 4)");
}

TEST_CASE("shape: insert, erase and push_back keep the order", "[tensor]") {
  Shape shape{2, 4};
  shape.insert(1, 3);
  CHECK(shape == Shape{2, 3, 4});
  shape.insert(0, 1);
  CHECK(shape == Shape{1, 2, 3, 4});
  shape.insert(4, 5);
  CHECK(shape == Shape{1, 2, 3, 4, 5});
  shape.erase(0);
  shape.erase(3);
  CHECK(shape == Shape{2, 3, 4});
  shape.push_back(7);
  CHECK(shape == Shape{2, 3, 4, 7});
}

TEST_CASE("shape: nine dimensions are refused, eight are not", "[tensor]") {
  CHECK(Shape{1, 2, 3, 4, 5, 6, 7, 8}.rank() == 8);
  CHECK_THROWS_WITH((Shape{1, 2, 3, 4, 5, 6, 7, 8, 9}), ContainsSubstring("at most 8"));
  Shape full = Shape::filled(8, 2);
  CHECK_THROWS_AS(full.push_back(1), Error);
  CHECK_THROWS_AS(full.insert(0, 1), Error);
  CHECK(full == Shape::filled(8, 2));
  CHECK_THROWS_AS(Shape::filled(9, 1), Error);
}

TEST_CASE("shape: contiguous strides are row-major, with empty dimensions too", "[tensor]") {
  CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
  CHECK(contiguous_strides({}) == Strides{});
  CHECK(contiguous_strides({2, 0, 4}) == Strides{4, 4, 1});
}

TEST_CASE("shape: broadcasting follows numpy", "[tensor]") {
  CHECK(broadcast_shapes("add", {4, 1}, {3}) == Shape{4, 3});
  CHECK(broadcast_shapes("add", {}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast_shapes("add", {2, 1, 5}, {1, 3, 1}) == Shape{2, 3, 5});
  CHECK(broadcast_shapes("add", {0, 3}, {1}) == Shape{0, 3});
  CHECK(broadcast_shapes("add", {0}, {1}) == Shape{0});
  CHECK(broadcast_shapes("add", {1}, {0}) == Shape{0});  // not max(): an empty dimension stays empty
  CHECK_THROWS_WITH(broadcast_shapes("add", {2, 3}, {2, 4}),
                    ContainsSubstring("add: shapes (2, 3) and (2, 4) do not broadcast"));
  CHECK_THROWS_AS(broadcast_shapes("add", {0}, {2}), Error);
}

TEST_CASE("shape: dims count from the end when negative", "[tensor]") {
  CHECK(normalize_dim("sum", -1, 3) == 2);
  CHECK(normalize_dim("sum", -3, 3) == 0);
  CHECK(normalize_dim("sum", 0, 0) == 0);
  CHECK(normalize_dim("sum", -1, 0) == 0);
  CHECK_THROWS_WITH(normalize_dim("sum", 3, 3), ContainsSubstring("sum: dim 3"));
  CHECK_THROWS_AS(normalize_dim("sum", -4, 3), Error);
}

TEST_CASE("shape: sizes that no memory holds are refused before they overflow", "[tensor]") {
  CHECK(checked_numel("empty", {3, 4}) == 12);
  CHECK(checked_numel("empty", {3, 0, 4}) == 0);
  CHECK_THROWS_WITH(checked_numel("empty", {2, -1}), ContainsSubstring("negative"));
  CHECK_THROWS_WITH(checked_numel("empty", {int64_t{1} << 40, int64_t{1} << 40}), ContainsSubstring("too many"));
  // A zero must not hide an overflow of the rest: strides are products of it.
  CHECK_THROWS_AS(checked_numel("empty", {0, int64_t{1} << 40, int64_t{1} << 40}), Error);
}
