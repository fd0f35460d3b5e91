#include "tensor/ops/resample.h"

#include <string>

#include "autograd/gradcheck.h"
#include "autograd/variable.h"
#include "catch.h"
#include "ops/linalg_support.h"
#include "tensor/parallel.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

using In = std::span<const Variable>;

void require_gradients(const DifferentiableFunction& f, const Tensor& x) {
  std::string why;
  const bool first = gradcheck(f, {x}, {}, &why);
  INFO(why);
  CHECK(first);
  const bool second = gradgradcheck(f, {x}, {}, &why);
  INFO(why);
  CHECK(second);
}

double dot(const Tensor& a, const Tensor& b) { return sum(a * b).item(); }

Tensor image(std::initializer_list<double> values, int64_t height, int64_t width) {
  return tensor_of(values, {1, 1, height, width}, DType::f64);
}

}  // namespace

TEST_CASE("upsample_nearest2d: repeats pixels, and its adjoint sums the copies", "[ops][resample]") {
  for (const Backend backend : backends()) {
    const BackendScope scope(backend);
    const Tensor x = image({1, 2, 3, 4}, 2, 2);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor y = upsample_nearest2d(x.to(dtype), 2);
      CHECK(y.shape() == Shape{1, 1, 4, 4});
      CHECK(y.to_vector() == std::vector<double>{1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
      CHECK(upsample_nearest2d_backward(y, 2).to_vector() == std::vector<double>{4, 8, 12, 16});
    }
  }
}

TEST_CASE("upsample_nearest2d: fast agrees with the reference at odd sizes and scales", "[ops][resample]") {
  for (const Shape& shape : {Shape{2, 3, 7, 5}, Shape{1, 1, 1, 1}, Shape{2, 5, 3, 33}, Shape{1, 16, 16, 16},
                             Shape{0, 3, 4, 4}, Shape{2, 3, 0, 4}, Shape{2, 3, 4, 0}}) {
    for (const int64_t scale : {1, 2, 3, 4}) {
      const Tensor x = random_tensor(shape, 1);
      const Tensor up = upsample_nearest2d(x, scale);
      const Tensor dy = random_tensor(up.shape(), 2);
      const Tensor down = upsample_nearest2d_backward(dy, scale);
      INFO(to_string(shape) << " scale " << scale);
      CHECK(dot(up, dy) == Approx(dot(x, down)));
      for (const Backend backend : backends()) {
        const BackendScope scope(backend);
        CHECK(difference(upsample_nearest2d(x.to(DType::f32), scale), up) == 0);
        CHECK(difference(upsample_nearest2d_backward(dy.to(DType::f32), scale), down) < 1e-6);
      }
    }
  }
  const Tensor view = transpose(random_tensor({2, 3, 4, 5}, 3, DType::f32), 2, 3);
  CHECK(difference(upsample_nearest2d(view, 2), upsample_nearest2d(view.clone(), 2)) == 0);
}

// Values of PyTorch's align_corners = false, worked out by hand: centres at -1/4, 1/4, 3/4, 5/4 of the input's grid.
TEST_CASE("upsample_bilinear2d: with align_corners the ends coincide", "[ops][resample]") {
  const Tensor y = upsample_bilinear2d(image({0, 3}, 1, 2), 2, /*align_corners=*/true);
  for (int64_t i = 0; i < 4; ++i) {
    CHECK(y.data<double>()[i] == Approx(static_cast<double>(i)));
  }
  const Tensor x = image({1, 2, 3, 4, 5, 6}, 2, 3);
  const Tensor dy = affine(upsample_bilinear2d(x, 3), 0.5, 1);
  CHECK(dot(upsample_bilinear2d(x, 3, true), dy) == Approx(dot(x, upsample_bilinear2d_backward(dy, 3, true))));
}

TEST_CASE("upsample_bilinear2d: pixel centres, clamped at the edges", "[ops][resample]") {
  const Tensor y = upsample_bilinear2d(image({0, 4}, 1, 2), 2);
  CHECK(y.to_vector() == std::vector<double>{0, 1, 3, 4, 0, 1, 3, 4});
  const Tensor x = random_tensor({2, 3, 5, 4}, 4);
  for (const int64_t scale : {1, 2, 3}) {
    const Tensor dy = random_tensor({2, 3, 5 * scale, 4 * scale}, 5);
    CHECK(dot(upsample_bilinear2d(x, scale), dy) == Approx(dot(x, upsample_bilinear2d_backward(dy, scale))));
    CHECK(difference(upsample_bilinear2d(x.to(DType::f32), scale), upsample_bilinear2d(x, scale)) < 1e-6);
  }
  CHECK(difference(upsample_bilinear2d(x, 1), x) == 0);
}

TEST_CASE("avg_pool2d: means of windows, and the adjoint", "[ops][resample]") {
  const Tensor x = image({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, 3, 4);
  CHECK(avg_pool2d(x, 2, 2).to_vector() == std::vector<double>{3.5, 5.5});  // the last row fits no window
  CHECK(avg_pool2d(x, 2, 1).to_vector() == std::vector<double>{3.5, 4.5, 5.5, 7.5, 8.5, 9.5});
  const Tensor dy = random_tensor({1, 1, 2, 3}, 6);
  CHECK(dot(avg_pool2d(x, 2, 1), dy) == Approx(dot(x, avg_pool2d_backward(dy, x.shape(), 2, 1))));
}

TEST_CASE("max_pool2d: maxima and where they lie", "[ops][resample]") {
  const Tensor x = image({-1, -2, -3, -4, -5, -6, -7, -8, -9, -9, -9, -9}, 3, 4);
  const MaxPoolResult r = max_pool2d(x, 3, 2, 1);  // a padding of zeros would win everywhere
  CHECK(r.out.to_vector() == std::vector<double>{-1, -2, -5, -6});
  CHECK(r.index.to_vector() == std::vector<double>{0, 1, 4, 5});
  CHECK(max_pool2d(image({7, 7, 7, 7}, 2, 2), 2, 2, 0).index.to_vector() == std::vector<double>{0});
}

TEST_CASE("resample: gradients of first and second order", "[ops][resample][gradcheck]") {
  const Tensor x = random_tensor({2, 2, 4, 3}, 7);
  require_gradients([](In v) { return upsample_nearest2d(v[0], 2); }, x);
  require_gradients([](In v) { return upsample_nearest2d(v[0], 3); }, x);
  require_gradients([](In v) { return upsample_bilinear2d(v[0], 2); }, x);
  require_gradients([](In v) { return avg_pool2d(v[0], 2, 1); }, x);
  require_gradients([](In v) { return max_pool2d(v[0], 3, 2, 1); }, x);
  require_gradients([](In v) { return square(max_pool2d(v[0], 2, 1)); }, x);
}

TEST_CASE("resample: the same bits with one thread and with two", "[ops][resample]") {
  const Tensor x = random_tensor({4, 16, 32, 32}, 8, DType::f32);
  const int before = num_threads();
  set_num_threads(1);
  const auto up = upsample_nearest2d(x, 2).to_vector(), down = upsample_nearest2d_backward(x, 2).to_vector();
  set_num_threads(2);
  const auto up2 = upsample_nearest2d(x, 2).to_vector(), down2 = upsample_nearest2d_backward(x, 2).to_vector();
  set_num_threads(before);
  CHECK(up == up2);
  CHECK(down == down2);
}

TEST_CASE("resample: errors say what was expected and what came", "[ops][resample]") {
  const Tensor x = zeros({1, 1, 4, 5});
  CHECK_THROWS_WITH(upsample_nearest2d(zeros({4, 4}), 2), ContainsSubstring("(N, C, H, W), got (4, 4)"));
  CHECK_THROWS_WITH(upsample_nearest2d(x, 0), ContainsSubstring("scale must be at least 1, got 0"));
  CHECK_THROWS_WITH(upsample_nearest2d_backward(x, 2), ContainsSubstring("no image enlarged by 2"));
  CHECK_THROWS_WITH(upsample_bilinear2d_backward(x, 2), ContainsSubstring("no image enlarged by 2"));
  CHECK_THROWS_WITH(avg_pool2d(x, 5, 1), ContainsSubstring("kernel 5 is larger than the padded input's height 4"));
  CHECK_THROWS_WITH(avg_pool2d(x, 2, 0), ContainsSubstring("stride must be at least 1, got 0"));
  CHECK_THROWS_WITH(avg_pool2d_backward(x, {1, 1, 4, 5}, 2, 2), ContainsSubstring("dy has shape (1, 1, 4, 5)"));
  CHECK_THROWS_WITH(max_pool2d(x, 2, 2, 2), ContainsSubstring("padding must be in 0..kernel/2, got 2 with kernel 2"));
}
