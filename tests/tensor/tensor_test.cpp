#include "tensor/tensor.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "tensor/ops/view.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

}  // namespace

TEST_CASE("tensor: an undefined tensor says so and is never read", "[tensor]") {
  const Tensor none;
  CHECK_FALSE(none.defined());
  CHECK(none.numel() == 0);
  CHECK(none.raw_data() == nullptr);
  CHECK(to_string(none) == "undefined tensor");
  CHECK_THROWS_AS(none.clone(), Error);
  CHECK_THROWS_AS(none.to(DType::f64), Error);
  CHECK_THROWS_AS(Tensor().fill(1), Error);
}

TEST_CASE("tensor: factories", "[tensor]") {
  CHECK(zeros({2, 2}).to_vector() == Values{0, 0, 0, 0});
  CHECK(ones({3}, DType::i64).to_vector() == Values{1, 1, 1});
  CHECK(full({2}, 2.5, DType::f64).to_vector() == Values{2.5, 2.5});
  CHECK(scalar(7).dim() == 0);
  CHECK(scalar(7).item() == 7);
  CHECK(arange(0, 5).to_vector() == Values{0, 1, 2, 3, 4});
  CHECK(arange(5, 0, -2).to_vector() == Values{5, 3, 1});
  CHECK(arange(0, 1, 0.25).numel() == 4);
  CHECK(arange(3, 3).numel() == 0);
  CHECK(linspace(0, 1, 5).to_vector() == Values{0, 0.25, 0.5, 0.75, 1});
  CHECK(linspace(2, 3, 1).to_vector() == Values{2});
  CHECK(linspace(0, 0.3, 7, DType::f64).to_vector().back() == 0.3);  // both ends exact
  CHECK(eye(2).to_vector() == Values{1, 0, 0, 1});
  CHECK(eye(0).numel() == 0);
  CHECK(tensor_of({1, 2, 3, 4}, {2, 2}).size(0) == 2);
  CHECK_THROWS_WITH(tensor_of({1, 2, 3}, {2, 2}), ContainsSubstring("3 values for shape (2, 2)"));
  CHECK_THROWS_AS(arange(0, 1, 0), Error);
  CHECK_THROWS_AS(arange(0, INFINITY), Error);
  CHECK_THROWS_AS(zeros({-1}), Error);
  CHECK(zeros_like(full({2}, 3, DType::i32)).dtype() == DType::i32);
}

TEST_CASE("tensor: copies share storage, clones do not", "[tensor]") {
  Tensor a = full({2}, 1);
  Tensor b = a, c = a.clone();
  CHECK(b.shares_storage_with(a));
  CHECK_FALSE(c.shares_storage_with(a));
  a.mutable_data<float>()[0] = 5;
  CHECK(b.to_vector() == Values{5, 1});
  CHECK(c.to_vector() == Values{1, 1});
  CHECK(a.storage_use_count() == 2);
  b = Tensor();
  CHECK(a.storage_use_count() == 1);
}

TEST_CASE("tensor: the version counts writes, of every view", "[tensor]") {
  Tensor a = zeros({4, 4});
  Tensor row = select(a, 0, 1);
  const uint64_t before = a.version();
  CHECK(row.version() == before);
  row.fill(3);
  CHECK(a.version() > before);
  const uint64_t filled = a.version();
  a.copy_from(ones({4}));
  CHECK(row.version() > filled);
  const uint64_t copied = a.version();
  a.data<float>();
  a.to_vector();
  a.contiguous();
  CHECK(a.version() == copied);  // reading does not count
}

TEST_CASE("tensor: data of the wrong type is refused", "[tensor]") {
  Tensor x = zeros({2});
  CHECK_THROWS_WITH(x.data<double>(), ContainsSubstring("f64") && ContainsSubstring("f32"));
  CHECK_THROWS_AS(x.mutable_data<int64_t>(), Error);
  CHECK_THROWS_WITH(x.item(), ContainsSubstring("one element"));
}

TEST_CASE("tensor: conversions between dtypes", "[tensor]") {
  const Tensor x = tensor_of({-1.5, 0, 2.75, 300}, {4});
  CHECK(x.to(DType::f64).to_vector() == Values{-1.5, 0, 2.75, 300});
  CHECK(x.to(DType::i64).to_vector() == Values{-1, 0, 2, 300});
  CHECK(x.to(DType::boolean).to_vector() == Values{1, 0, 1, 1});
  CHECK(x.to(DType::boolean).to(DType::f32).to_vector() == Values{1, 0, 1, 1});
  CHECK(x.to(DType::bf16).to(DType::f32).to_vector() == Values{-1.5, 0, 2.75, 300});
  CHECK(x.to(DType::f32).shares_storage_with(x));
  CHECK(full({1}, std::nan(""), DType::f32).to(DType::boolean).item() == 1);  // as in C and PyTorch
}

TEST_CASE("tensor: bf16 rounds to nearest even and keeps NaN and infinity", "[tensor]") {
  const auto rounded = [](float x) { return static_cast<float>(BFloat16(x)); };
  CHECK(rounded(1.0f) == 1.0f);
  CHECK(rounded(1.0f + 0x1p-8f) == 1.0f);                       // a tie, to even
  CHECK(rounded(1.0f + 3 * 0x1p-8f) == 1.0f + 0x1p-6f);         // a tie, to even
  CHECK(rounded(1.0f + 0x1p-8f + 0x1p-20f) == 1.0f + 0x1p-7f);  // just above a tie
  CHECK(rounded(-1.0f - 0x1p-8f - 0x1p-20f) == -1.0f - 0x1p-7f);
  CHECK(std::isinf(rounded(std::numeric_limits<float>::max())));
  CHECK(std::isinf(rounded(INFINITY)));
  CHECK(std::isnan(rounded(std::nanf(""))));
  CHECK(std::isnan(static_cast<float>(BFloat16(__builtin_bit_cast(float, 0x7f800001u)))));  // a NaN, not infinity
}

TEST_CASE("tensor: copy_from broadcasts, converts, and writes through views only what they cover", "[tensor]") {
  Tensor a = zeros({3, 4}, DType::f64);
  slice(a, 1, 1, 3).copy_from(tensor_of({1, 2, 3}, {3, 1}));
  CHECK(a.to_vector() == Values{0, 1, 1, 0, 0, 2, 2, 0, 0, 3, 3, 0});
  transpose(a, 0, 1).copy_from(tensor_of({7, 8, 9}, {3}));
  CHECK(a.to_vector() == Values{7, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9, 9});
  CHECK_THROWS_WITH(a.copy_from(zeros({2, 3, 4})), ContainsSubstring("(2, 3, 4)"));
  CHECK_THROWS_AS(zeros({3}).copy_from(zeros({2})), Error);
}

TEST_CASE("tensor: a large strided copy is right on several threads", "[tensor]") {
  const int64_t rows = 301, columns = 257;
  const Tensor x = arange(0, static_cast<double>(rows * columns), 1, DType::f64).reshape({rows, columns});
  const Tensor t = transpose(x, 0, 1).contiguous();
  bool same = true;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      same &= t.data<double>()[j * rows + i] == static_cast<double>(i * columns + j);
    }
  }
  CHECK(same);
}

TEST_CASE("tensor: as_strided stays inside the storage", "[tensor]") {
  const Tensor x = arange(0, 10);
  CHECK(x.as_strided({2, 3}, {3, 1}, 1).to_vector() == Values{1, 2, 3, 4, 5, 6});
  CHECK(x.as_strided({2, 2}, {0, 1}, 8).to_vector() == Values{8, 9, 8, 9});
  CHECK(x.as_strided({0, 5}, {100, 1}, 0).numel() == 0);
  CHECK_THROWS_AS(x.as_strided({2, 3}, {3, 1}, 5), Error);  // its last element is number 10
  CHECK_THROWS_AS(x.as_strided({2}, {-1}, 5), Error);
  CHECK_THROWS_AS(x.as_strided({2}, {1}, -1), Error);
  CHECK_THROWS_AS(x.as_strided({2}, {1, 1}, 0), Error);
}

TEST_CASE("tensor: contiguity is a matter of elements, not of how the view was made", "[tensor]") {
  const Tensor x = zeros({2, 3, 4});
  CHECK(x.is_contiguous());
  CHECK(x.contiguous().shares_storage_with(x));
  CHECK_FALSE(transpose(x, 0, 2).is_contiguous());
  CHECK(transpose(x, 0, 2).contiguous().is_contiguous());
  CHECK(transpose(zeros({1, 5}), 0, 1).is_contiguous());
  CHECK(slice(x, 0, 1, 2).is_contiguous());
  CHECK_FALSE(slice(x, 2, 0, 2).is_contiguous());
  CHECK_FALSE(expand(zeros({1, 3}), {2, 3}).is_contiguous());
  CHECK(zeros({3, 0, 2}).is_contiguous());
}

TEST_CASE("tensor: printing shortens long dimensions", "[tensor]") {
  CHECK(to_string(tensor_of({1, 2, 3, 4}, {2, 2})) == "[[1, 2], [3, 4]] f32 (2, 2)");
  CHECK(to_string(arange(0, 10)) == "[0, 1, 2, ..., 7, 8, 9] f32 (10,)");
  CHECK(to_string(arange(0, 6)) == "[0, 1, 2, 3, 4, 5] f32 (6,)");
  CHECK(to_string(scalar(2.5, DType::f64)) == "2.5 f64 ()");
  CHECK(to_string(zeros({0, 3})) == "[] f32 (0, 3)");
  CHECK(to_string(arange(0, 14).reshape({7, 2})) ==
        "[[0, 1], [2, 3], [4, 5], ..., [8, 9], [10, 11], [12, 13]] f32 (7, 2)");
}
