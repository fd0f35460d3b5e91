#include "diffusion/image/png.h"

#include <png.h>

#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "tensor/io/file.h"
#include "tensor/ops/view.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

// Decodes with libpng's own simplified reader, to u8 (H, W, channels).
Tensor decode(const std::string& bytes, int64_t channels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) != 0);
  CHECK(image.format == (channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB));
  Tensor pixels = Tensor::empty({image.height, image.width, channels}, DType::u8);
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.mutable_data<uint8_t>(), 0, nullptr) != 0);
  return pixels;
}

Tensor noise(const Shape& shape) {
  Tensor pixels = Tensor::empty(shape, DType::u8);
  uint32_t state = 1;
  auto* data = pixels.mutable_data<uint8_t>();
  for (int64_t i = 0; i < pixels.numel(); ++i) {
    state = state * 1664525u + 1013904223u;
    data[i] = static_cast<uint8_t>(state >> 24);
  }
  return pixels;
}

}  // namespace

TEST_CASE("png: pixels come back as they were, in grey and in colour", "[io][png]") {
  const TemporaryFolder folder;
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{7, 300, 1}, Shape{41, 5, 3}, Shape{64, 64, 3}}) {
    const Tensor pixels = noise(shape);
    write_png(folder / "x.png", pixels);
    CHECK(decode(get(folder / "x.png"), shape[2]).to_vector() == pixels.to_vector());
  }
  const Tensor turned = transpose(noise({4, 6, 3}), 0, 1);  // a view
  CHECK(decode(encode_png(turned), 3).to_vector() == turned.to_vector());
}

TEST_CASE("png: equal pixels give equal bytes, without a time", "[io][png]") {
  const std::string bytes = encode_png(noise({20, 30, 3}));
  CHECK((bytes == encode_png(noise({20, 30, 3}))));
  CHECK(bytes.find("tIME") == std::string::npos);
}

TEST_CASE("png: what a PNG of ours cannot hold is refused", "[io][png]") {
  CHECK_THROWS_AS(encode_png(Tensor()), Error);
  CHECK_THROWS_AS(encode_png(zeros({4, 4, 2}, DType::u8)), Error);
  CHECK_THROWS_AS(encode_png(zeros({4, 4}, DType::u8)), Error);
  CHECK_THROWS_AS(encode_png(zeros({0, 4, 1}, DType::u8)), Error);
  CHECK_THROWS_AS(encode_png(zeros({4, 4, 1})), Error);
  CHECK_THROWS_AS(encode_png(zeros({1, 1'000'001, 1}, DType::u8)), Error);
  const TemporaryFolder folder;
  CHECK_THROWS_AS(write_png(folder / "no/x.png", zeros({4, 4, 1}, DType::u8)), IoError);
}

TEST_CASE("image grid: images stand row by row, each with its border", "[io][png]") {
  // Five 2 x 3 images of one value each; auto: 3 columns, 2 rows, the last place stays black.
  Tensor samples = Tensor::empty({5, 1, 2, 3});
  for (int i = 0; i < 30; ++i) {
    const int value = (i / 6 + 1) * 10;
    samples.mutable_data<float>()[i] = static_cast<float>(value) / 127.5f - 1.0f;
  }
  const Tensor grid = image_grid(samples);
  REQUIRE(grid.shape() == Shape{2 * 4 + 2, 3 * 5 + 2, 1});
  const auto at = [&](int64_t y, int64_t x) { return int{grid.data<uint8_t>()[y * 17 + x]}; };
  CHECK(at(1, 2) == 0);
  CHECK(at(2, 1) == 0);
  CHECK(at(2, 2) == 10);
  CHECK(at(3, 4) == 10);
  CHECK(at(3, 5) == 0);
  CHECK(at(2, 7) == 20);
  CHECK(at(2, 12) == 30);
  CHECK(at(6, 2) == 40);
  CHECK(at(7, 9) == 50);
  CHECK(at(6, 12) == 0);
  CHECK(image_grid(samples, 5, 0).shape() == Shape{2, 15, 1});
  CHECK(image_grid(samples, 2, 1).shape() == Shape{3 * 3 + 1, 2 * 4 + 1, 1});
  CHECK(image_grid(samples, 9, 0).shape() == Shape{2, 15, 1});  // no empty columns
}

TEST_CASE("image grid: channels are interleaved", "[io][png]") {
  Tensor samples = Tensor::empty({1, 3, 1, 2});
  for (int i = 0; i < 6; ++i) samples.mutable_data<float>()[i] = static_cast<float>(i) / 127.5f - 1.0f;
  CHECK(image_grid(samples, 1, 0).to_vector() == std::vector<double>{0, 2, 4, 1, 3, 5});
}

TEST_CASE("image grid: bytes survive the way to [-1, 1] and back; the rest is clamped", "[io][png]") {
  Tensor samples = Tensor::empty({1, 1, 16, 16});
  for (int i = 0; i < 256; ++i) samples.mutable_data<float>()[i] = static_cast<float>(i) / 127.5f - 1.0f;
  const Tensor grid = image_grid(samples, 1, 0);
  for (int i = 0; i < 256; ++i) CHECK(int{grid.data<uint8_t>()[i]} == i);

  const float inf = std::numeric_limits<float>::infinity();
  Tensor odd = tensor_of({-1.5, 1.5, -1e30, 1e30, 0.0, 0.0, 0.0}, {1, 1, 1, 7});
  odd.mutable_data<float>()[4] = std::nanf("");
  odd.mutable_data<float>()[5] = inf;
  odd.mutable_data<float>()[6] = -inf;
  CHECK(image_grid(odd, 1, 0).to_vector() == std::vector<double>{0, 255, 0, 255, 0, 255, 0});
}

TEST_CASE("image grid: other shapes and dtypes are refused, views are not", "[io][png]") {
  CHECK_THROWS_AS(image_grid(zeros({1, 2, 4, 4})), Error);
  CHECK_THROWS_AS(image_grid(zeros({0, 1, 4, 4})), Error);
  CHECK_THROWS_AS(image_grid(zeros({3, 4, 4})), Error);
  CHECK_THROWS_AS(image_grid(zeros({1, 1, 4, 4}, DType::f64)), Error);
  CHECK_THROWS_AS(image_grid(zeros({1, 1, 4, 4}), -1), Error);
  const Tensor samples = linspace(-1, 1, 2 * 3 * 4).reshape({2, 1, 3, 4});
  const Tensor turned = transpose(samples, 2, 3);
  CHECK(image_grid(turned).to_vector() == image_grid(turned.clone()).to_vector());
  const TemporaryFolder folder;
  save_image_grid(folder / "grid.png", samples);
  CHECK(decode(get(folder / "grid.png"), 1).to_vector() == image_grid(samples).to_vector());
}
