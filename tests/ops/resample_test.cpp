// Resampling by hand: values that are known, ties, NaN, and where windows end. The rest is in the table (resample.cpp).
#include "autograd/ops/resample.h"

#include <cmath>

#include "catch.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

Tensor image(std::initializer_list<double> values, int64_t height, int64_t width) {
  return tensor_of(values, {1, 1, height, width}, DType::f64);
}
Values values_of(const Variable& x) { return x.tensor().to_vector(); }

}  // namespace

TEST_CASE("upsample_nearest2d: repeats pixels, and its adjoint sums the copies", "[ops][resample]") {
  const Tensor y = upsample_nearest2d(image({1, 2, 3, 4}, 2, 2), 2);
  CHECK(y.to_vector() == Values{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  CHECK(upsample_nearest2d_backward(y, 2).to_vector() == Values{4, 8, 12, 16});
  CHECK(upsample_nearest2d(image({1, 2}, 1, 2), {2, 1}).to_vector() == Values{1, 2, 1, 2});
}

// Values of PyTorch's conventions, worked out by hand: centres at -1/4, 1/4, 3/4, 5/4 of the input's grid, or equal
// ends.
TEST_CASE("upsample_bilinear2d: pixel centres are clamped at the edges, or ends coincide", "[ops][resample]") {
  CHECK(values_of(upsample_bilinear2d(image({0, 4}, 1, 2), {1, 2})) == Values{0, 1, 3, 4});
  const Values ends = values_of(upsample_bilinear2d(image({0, 3}, 1, 2), {1, 2}, /*align_corners=*/true));
  for (size_t i = 0; i < 4; ++i) CHECK(ends[i] == Approx(static_cast<double>(i)));
  const Tensor x = image({1, 2, 3, 4, 5, 6}, 2, 3);
  CHECK(values_of(upsample_bilinear2d(x, 1)) == x.to_vector());
}

TEST_CASE("interpolate: to any size; a constant stays one, and bicubic keeps straight lines", "[ops][resample]") {
  for (const auto mode : {Interpolation::nearest, Interpolation::bilinear, Interpolation::bicubic}) {
    for (const double value : values_of(interpolate(full({1, 1, 3, 4}, 2, DType::f64), {5, 7}, mode))) {
      CHECK(value == Approx(2));
    }
  }
  const Values line = values_of(interpolate(image({0, 1, 2, 3, 4, 5}, 1, 6), {1, 11}, Interpolation::bicubic, true));
  CHECK(line[4] == Approx(2));
  CHECK(values_of(interpolate(image({0, 1, 2, 3, 4, 5}, 1, 6), {1, 4}, Interpolation::nearest)) == Values{0, 1, 3, 4});
}

TEST_CASE("avg_pool2d: means of windows, with and without padding", "[ops][resample]") {
  const Tensor x = image({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 3, 4);
  CHECK(values_of(avg_pool2d(x, 2)) == Values{3.5, 5.5});  // the last row fits no window
  CHECK(values_of(avg_pool2d(x, 2, 1)) == Values{3.5, 4.5, 5.5, 7.5, 8.5, 9.5});
  CHECK(values_of(avg_pool2d(x, 2, {.ceil_mode = true})) == Values{3.5, 5.5, 9.5, 11.5});
  const Tensor one = image({8}, 1, 1);
  CHECK(values_of(avg_pool2d(one, 2, {.stride = 1, .padding = 1})) == Values{2, 2, 2, 2});
  CHECK(values_of(avg_pool2d(one, 2, {.stride = 1, .padding = 1, .count_include_pad = false})) == Values{8, 8, 8, 8});
}

TEST_CASE("max_pool2d: maxima and where they lie", "[ops][resample]") {
  const Tensor x = image({-1, -2, -3, -4, -5, -6, -7, -8, -9, -9, -9, -9}, 3, 4);
  const MaxPoolResult r = max_pool2d(x, 3, {.stride = 2, .padding = 1});  // a padding of zeros would win everywhere
  CHECK(r.out.to_vector() == Values{-1, -2, -5, -6});
  CHECK(r.index.to_vector() == Values{0, 1, 4, 5});
  CHECK(max_pool2d(image({7, 7, 7, 7}, 2, 2), 2).index.to_vector() == Values{0});
  CHECK(max_pool2d(image({7, NAN, 9, 7}, 2, 2), 2).index.to_vector() == Values{1});
  CHECK_THROWS_WITH(max_pool2d(image({1}, 1, 1), 2, {.padding = 1, .dilation = 2}),
                    ContainsSubstring("holds none of the 1 pixels"));
}
