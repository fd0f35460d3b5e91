#include "diffusion/image/resize.h"

#include <vector>

#include "catch.h"
#include "tensor/ops/view.h"
#include "tests/io/image_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

Tensor row_of(std::initializer_list<double> values) {
  return tensor_of(values, {1, static_cast<int64_t>(values.size()), 1}, DType::u8);
}

std::vector<double> resized(const Tensor& pixels, int64_t height, int64_t width) {
  return resize(pixels, height, width).to_vector();
}

Tensor smooth(int width, int height, int channels) {
  const std::string bytes = smooth_pixels(width, height, channels);
  Tensor pixels = Tensor::empty({height, width, channels}, DType::u8);
  std::copy(bytes.begin(), bytes.end(), pixels.mutable_data<uint8_t>());
  return pixels;
}

}  // namespace

TEST_CASE("resize: shrinking weighs every pixel by a widened triangle", "[io][image]") {
  // 4 to 2, scale 2: the centres are 1 and 3, pixel j counts 1 - |j + 1/2 - centre| / 2: 3/4, 3/4, 1/4.
  // (3 * 0 + 3 * 100 + 200) / 7 = 71.4 and (100 + 3 * 200 + 3 * 40) / 7 = 117.1
  CHECK(resized(row_of({0, 100, 200, 40}), 1, 2) == std::vector<double>{71, 117});
  // 3 to 2, scale 3/2: centres 3/4 and 9/4; weights 5/6, 1/2 and nothing at distance 7/4.
  // (5 * 10 + 3 * 90) / 8 = 40 and (3 * 90 + 5 * 50) / 8 = 65
  CHECK(resized(row_of({10, 90, 50}), 1, 2) == std::vector<double>{40, 65});
  // 2 x 2 to one pixel: the mean.
  CHECK(resized(tensor_of({10, 20, 30, 42}, {2, 2, 1}, DType::u8), 1, 1) == std::vector<double>{26});  // 25.5
}

TEST_CASE("resize: enlarging interpolates between pixel centres", "[io][image]") {
  CHECK(resized(row_of({0, 100}), 1, 4) == std::vector<double>{0, 25, 75, 100});
  CHECK(resized(row_of({0, 100}), 3, 2) == std::vector<double>{0, 100, 0, 100, 0, 100});
  CHECK(resized(permute(row_of({0, 100}), {1, 0, 2}), 4, 1) == std::vector<double>{0, 25, 75, 100});
  CHECK(resized(tensor_of({0, 10, 200, 100, 30, 0}, {1, 2, 3}, DType::u8), 1, 4) ==
        std::vector<double>{0, 10, 200, 25, 15, 150, 75, 25, 50, 100, 30, 0});
}

TEST_CASE("resize: nothing changes at the same size, nor one value at any", "[io][image]") {
  const Tensor pixels = smooth(13, 7, 3);
  CHECK(resized(pixels, 7, 13) == pixels.to_vector());
  for (const int value : {0, 1, 127, 254, 255}) {
    const Tensor flat = full({11, 5, 1}, value, DType::u8);
    for (const int64_t size : {1, 2, 3, 4, 7, 16, 33}) {
      CHECK(resized(flat, size, size) == std::vector<double>(static_cast<size_t>(size * size), value));
    }
  }
}

TEST_CASE("resize to square: the shorter side is fitted, the middle kept", "[io][image]") {
  const Tensor row = tensor_of({1, 2, 3, 4, 5, 11, 12, 13, 14, 15}, {2, 5, 1}, DType::u8);
  CHECK(resize_to_square(row, 2).to_vector() == std::vector<double>{2, 3, 12, 13});
  const Tensor column = permute(row, {1, 0, 2});
  CHECK(resize_to_square(column, 2).to_vector() == std::vector<double>{2, 12, 3, 13});
  // Computing only what is kept gives what cutting it out of the whole gives.
  for (const auto& [width, height, size] :
       {std::array{53, 37, 16}, {20, 61, 8}, {9, 31, 24}, {5, 5, 1}, {40, 40, 40}}) {
    const Tensor pixels = smooth(width, height, 3);
    const int64_t shorter = std::min(width, height);
    const int64_t h = height * size / shorter, w = width * size / shorter;
    const Tensor whole = resize(pixels, h, w);
    const Tensor middle =
        slice(slice(whole, 0, (h - size) / 2, (h - size) / 2 + size), 1, (w - size) / 2, (w - size) / 2 + size);
    CHECK(resize_to_square(pixels, size).to_vector() == middle.to_vector());
  }
}

TEST_CASE("resize: an image a thousand times as long as wide costs no more than what is kept", "[io][image]") {
  CHECK(resize_to_square(full({16384, 1, 3}, 9, DType::u8), 64).to_vector() == std::vector<double>(64 * 64 * 3, 9));
}

TEST_CASE("resize: other dtypes, shapes and sizes are refused", "[io][image]") {
  CHECK_THROWS_AS(resize(Tensor(), 1, 1), Error);
  CHECK_THROWS_AS(resize(zeros({2, 2, 1}), 1, 1), Error);
  CHECK_THROWS_AS(resize(zeros({2, 2, 2}, DType::u8), 1, 1), Error);
  CHECK_THROWS_AS(resize(zeros({0, 2, 1}, DType::u8), 1, 1), Error);
  CHECK_THROWS_AS(resize(zeros({2, 2, 1}, DType::u8), 0, 1), Error);
  CHECK_THROWS_AS(resize_to_square(zeros({2, 2, 1}, DType::u8), 0), Error);
}
