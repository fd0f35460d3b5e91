// Winograd convolution against a direct convolution in f64: every pass, edge tiles, padded channels, both schedules.
#include "tensor/backend/fast/winograd.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "catch.h"
#include "tensor/parallel.h"

namespace {

using namespace sfumato::fast;
using Floats = std::vector<float>;

constexpr double kTolerance = 4e-6;  // relative L2 error; measured at most 2.2e-6

Floats normal(int64_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  Floats values(static_cast<size_t>(count));
  for (float& v : values) v = distribution(generator);
  return values;
}

int64_t input_size(const WinogradShape& s) { return s.batch * s.in_channels * s.height * s.width; }
int64_t output_size(const WinogradShape& s) { return s.batch * s.out_channels * s.height * s.width; }
int64_t weight_size(const WinogradShape& s) { return s.out_channels * s.in_channels * 9; }

struct Case {
  WinogradShape shape;
  Floats x, weight, bias, dy;

  explicit Case(const WinogradShape& s)
      : shape(s),
        x(normal(input_size(s), 1)),
        weight(normal(weight_size(s), 2)),
        bias(normal(s.out_channels, 3)),
        dy(normal(output_size(s), 4)) {}
};

struct Passes {
  Floats y, dx, dweight;
};

// 64-byte aligned and full of NaN: a kernel that reads what it has not written shows.
std::unique_ptr<void, decltype(&std::free)> workspace(const WinogradShape& shape, WinogradPass pass) {
  const size_t bytes = winograd_workspace_bytes(shape, pass);
  CHECK(bytes % 64 == 0);
  void* memory = std::aligned_alloc(64, bytes + 64);
  std::memset(memory, 0xff, bytes + 64);
  return {memory, &std::free};
}

Passes winograd(const Case& c) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Passes out{Floats(c.dy.size(), nan), Floats(c.x.size(), nan), Floats(c.weight.size(), nan)};
  winograd_forward(c.shape, c.x.data(), c.weight.data(), c.bias.data(), out.y.data(),
                   workspace(c.shape, WinogradPass::forward).get());
  winograd_backward_data(c.shape, c.dy.data(), c.weight.data(), out.dx.data(),
                         workspace(c.shape, WinogradPass::backward_data).get());
  winograd_backward_weight(c.shape, c.x.data(), c.dy.data(), out.dweight.data(),
                           workspace(c.shape, WinogradPass::backward_weight).get());
  return out;
}

struct Direct {
  std::vector<double> y, dx, dweight;
};

Direct direct(const Case& c) {
  const auto [batch, in, out, height, width] = c.shape;
  Direct d{std::vector<double>(c.dy.size()), std::vector<double>(c.x.size()), std::vector<double>(c.weight.size())};
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t k = 0; k < out; ++k) {
      const int64_t plane = (n * out + k) * height * width;
      for (int64_t i = 0; i < height * width; ++i) d.y[plane + i] = c.bias[k];
      for (int64_t ch = 0; ch < in; ++ch)
        for (int64_t u = 0; u < 3; ++u)
          for (int64_t v = 0; v < 3; ++v) {
            const int64_t tap = ((k * in + ch) * 3 + u) * 3 + v;
            for (int64_t i = std::max<int64_t>(0, 1 - u); i < std::min(height, height + 1 - u); ++i)
              for (int64_t j = std::max<int64_t>(0, 1 - v); j < std::min(width, width + 1 - v); ++j) {
                const int64_t from = ((n * in + ch) * height + i + u - 1) * width + j + v - 1;
                const int64_t to = plane + i * width + j;
                d.y[to] += double{c.x[from]} * c.weight[tap];
                d.dx[from] += double{c.dy[to]} * c.weight[tap];
                d.dweight[tap] += double{c.dy[to]} * c.x[from];
              }
          }
    }
  return d;
}

double relative_error(const Floats& got, const std::vector<double>& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return norm > 0 ? std::sqrt(error / norm) : std::sqrt(error);
}

void check_against_direct(const WinogradShape& s) {
  INFO("batch " << s.batch << ", " << s.in_channels << " -> " << s.out_channels << " channels, " << s.height << " x "
                << s.width);
  const Case c(s);
  const Passes fast = winograd(c);
  const Direct exact = direct(c);
  CHECK(relative_error(fast.y, exact.y) < kTolerance);
  CHECK(relative_error(fast.dx, exact.dx) < kTolerance);
  CHECK(relative_error(fast.dweight, exact.dweight) < kTolerance);
}

bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

}  // namespace

TEST_CASE("winograd convolution agrees with f64 on every small image", "[winograd]") {
  const int64_t channels[] = {1, 3, 5, 16, 17, 33};
  for (int64_t height = 1; height <= 9; ++height)
    for (int64_t width = 1; width <= 9; ++width)
      check_against_direct({2, channels[(height + width) % 6], channels[(height * 5 + width) % 6], height, width});
}

TEST_CASE("winograd convolution agrees with f64 for any numbers of channels", "[winograd]") {
  for (int64_t in : {1, 3, 5, 16, 17, 33, 100})
    for (int64_t out : {1, 3, 5, 16, 17, 33, 100}) check_against_direct({3, in, out, 6, 7});
}

TEST_CASE("winograd convolution agrees with f64 on long rows and many blocks of tiles", "[winograd]") {
  check_against_direct({1, 3, 17, 5, 131});
  check_against_direct({2, 5, 40, 17, 70});
  check_against_direct({1, 16, 16, 33, 35});
  check_against_direct({40, 16, 17, 4, 4});
  check_against_direct({33, 17, 65, 8, 8});
  check_against_direct({8, 32, 32, 28, 28});
}

TEST_CASE("winograd convolution agrees with f64 in wide layers of few tiles", "[winograd]") {
  check_against_direct({2, 256, 130, 8, 8});
  check_against_direct({3, 130, 256, 7, 9});
  check_against_direct({20, 129, 140, 5, 8});
}

TEST_CASE("winograd convolution accepts empty tensors", "[winograd]") {
  for (const WinogradShape& shape : {WinogradShape{0, 3, 4, 5, 5},
                                     {2, 0, 4, 5, 5},
                                     {2, 3, 0, 5, 5},
                                     {2, 3, 4, 0, 5},
                                     {2, 3, 4, 5, 0},
                                     {0, 0, 0, 0, 0}})
    check_against_direct(shape);
}

TEST_CASE("winograd forward takes no bias for a bias of zero", "[winograd]") {
  Case c({2, 7, 19, 9, 6});
  c.bias.assign(c.bias.size(), 0.0f);
  Floats y(c.dy.size());
  winograd_forward(c.shape, c.x.data(), c.weight.data(), nullptr, y.data(),
                   workspace(c.shape, WinogradPass::forward).get());
  CHECK(same_bits(y, winograd(c).y));
}

TEST_CASE("winograd convolution gives the same bits for any number of threads", "[winograd]") {
  const int threads = sfumato::num_threads();
  for (const WinogradShape& shape : {WinogradShape{5, 20, 35, 13, 30}, {16, 32, 16, 28, 28}, {6, 150, 140, 8, 8}}) {
    const Case c(shape);
    sfumato::set_num_threads(1);
    const Passes one = winograd(c);
    for (int n : {2, 3, 7}) {
      INFO(n << " threads");
      sfumato::set_num_threads(n);
      const Passes many = winograd(c);
      CHECK(same_bits(one.y, many.y));
      CHECK(same_bits(one.dx, many.dx));
      CHECK(same_bits(one.dweight, many.dweight));
    }
  }
  sfumato::set_num_threads(threads);
}

TEST_CASE("winograd is chosen for the layers of a U-Net and not for its edges", "[winograd]") {
  for (WinogradPass pass : {WinogradPass::forward, WinogradPass::backward_data, WinogradPass::backward_weight}) {
    CHECK(winograd_is_faster({16, 128, 128, 32, 32}, pass));
    CHECK(winograd_is_faster({64, 128, 128, 7, 7}, pass));
    CHECK_FALSE(winograd_is_faster({16, 256, 256, 2, 2}, pass));
    CHECK_FALSE(winograd_is_faster({1, 256, 256, 4, 4}, pass));
  }
  CHECK_FALSE(winograd_is_faster({16, 3, 128, 32, 32}, WinogradPass::forward));
  CHECK(winograd_is_faster({16, 128, 3, 32, 32}, WinogradPass::forward));
}
