#include "tensor/ops/conv.h"

#include <string>

#include "autograd/variable.h"
#include "catch.h"
#include "ops/linalg_support.h"
#include "tensor/parallel.h"
#ifdef SFUMATO_FAST
#include "tensor/backend/onednn/engine.h"
#endif

using namespace sfumato;
using namespace sfumato::testing;

namespace {

struct ConvCase {
  std::string name;
  Shape x, weight;
  Conv2dOptions options;
};

// Small sizes, every option, odd channel counts, images smaller than the kernel, empty sizes.
std::vector<ConvCase> small_cases() {
  return {
      {"3x3", {2, 3, 7, 9}, {5, 3, 3, 3}, {.padding = 1}},
      {"one channel", {3, 1, 8, 8}, {17, 1, 3, 3}, {.padding = 1}},
      {"to one channel", {2, 18, 6, 6}, {1, 18, 3, 3}, {.padding = 1}},
      {"1x1", {3, 20, 5, 6}, {7, 20, 1, 1}, {}},
      {"1x1 on one pixel", {3, 20, 1, 1}, {7, 20, 1, 1}, {}},
      {"1x1 of one channel to one", {2, 1, 4, 4}, {1, 1, 1, 1}, {}},
      {"1x1 with padding", {2, 5, 4, 4}, {6, 5, 1, 1}, {.padding = 1}},
      {"1x1 stride 2", {2, 16, 7, 7}, {16, 16, 1, 1}, {.stride = 2}},
      {"no padding", {2, 4, 6, 7}, {6, 4, 3, 3}, {}},
      {"stride 2", {2, 16, 9, 8}, {19, 16, 3, 3}, {.stride = 2, .padding = 1}},
      {"stride 2, right and bottom padding", {2, 6, 8, 8}, {6, 6, 3, 3}, {.stride = 2, .padding = 0, .padding_end = 1}},
      {"left and top padding", {2, 6, 8, 8}, {6, 6, 3, 3}, {.padding = 2, .padding_end = 0}},
      {"stride over the end", {1, 2, 5, 5}, {3, 2, 2, 2}, {.stride = 3}},
      {"stride 3, large padding", {1, 3, 5, 4}, {4, 3, 3, 3}, {.stride = 3, .padding = 4}},
      {"dilation", {2, 16, 9, 9}, {16, 16, 3, 3}, {.padding = 2, .dilation = 2}},
      {"dilation and stride", {1, 3, 11, 9}, {2, 3, 3, 2}, {.stride = 2, .padding = 1, .dilation = 3}},
      {"groups", {2, 6, 7, 7}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}},
      {"depthwise", {2, 21, 7, 7}, {21, 1, 3, 3}, {.padding = 1, .groups = 21}},
      {"depthwise, two outputs each", {2, 5, 7, 7}, {10, 1, 3, 3}, {.padding = 1, .groups = 5}},
      {"a number for each axis",
       {2, 5, 9, 11},
       {6, 5, 3, 2},
       {.stride = {2, 1}, .padding = {0, 2}, .dilation = {1, 3}}},
      {"1x1 groups", {2, 8, 4, 4}, {6, 4, 1, 1}, {.groups = 2}},
      {"kernel of the image's size", {2, 3, 4, 5}, {6, 3, 4, 5}, {}},
      {"1x5 kernel", {1, 3, 4, 9}, {4, 3, 1, 5}, {.padding = 2}},
      {"image smaller than the kernel", {1, 4, 1, 1}, {4, 4, 3, 3}, {.padding = 1}},
      {"no samples", {0, 4, 6, 6}, {5, 4, 3, 3}, {.padding = 1}},
      {"no samples, 1x1", {0, 4, 6, 6}, {5, 4, 1, 1}, {}},
      {"no inputs", {2, 0, 6, 6}, {5, 0, 3, 3}, {.padding = 1}},
      {"no outputs", {2, 4, 6, 6}, {0, 4, 3, 3}, {.padding = 1}},
      {"no pixels", {2, 4, 0, 3}, {5, 4, 3, 3}, {.padding = 2}},
  };
}

// Shapes that a U-Net meets, where the fast kernels block and vectorise.
std::vector<ConvCase> large_cases() {
  return {
      {"U-Net 128@32", {1, 128, 32, 32}, {64, 128, 3, 3}, {.padding = 1}},
      {"U-Net 3->32@32", {2, 3, 32, 32}, {32, 3, 3, 3}, {.padding = 1}},
      {"U-Net 32->3@28", {2, 32, 28, 28}, {3, 32, 3, 3}, {.padding = 1}},
      {"U-Net 96->64@14", {3, 96, 14, 14}, {64, 96, 3, 3}, {.padding = 1}},
      {"U-Net downsampling", {2, 64, 16, 16}, {64, 64, 3, 3}, {.stride = 2, .padding = 1}},
      {"U-Net shortcut", {3, 96, 16, 16}, {64, 96, 1, 1}, {}},
  };
}

struct ConvResults {
  Tensor y, dx, dw;
};

ConvResults run(const ConvCase& c, DType dtype) {
  const Shape y_shape = conv2d_output_shape(c.x, c.weight, c.options);
  const Tensor x = random_tensor(c.x, 1, dtype), w = random_tensor(c.weight, 2, dtype);
  const Tensor bias = random_tensor({c.weight[0]}, 3, dtype), dy = random_tensor(y_shape, 4, dtype);
  return {conv2d(x, w, bias, c.options), conv2d_backward_input(dy, w, c.x, c.options),
          conv2d_backward_weight(x, dy, c.weight, c.options)};
}

// The formula of ops/conv.h, term by term: y, and by the same products both gradients.
ConvResults formula(const ConvCase& c) {
  const Conv2dOptions& o = c.options;
  const Shape ys = conv2d_output_shape(c.x, c.weight, o), xs = c.x, ws = c.weight;
  const std::vector<double> x = random_tensor(xs, 1).to_vector(), w = random_tensor(ws, 2).to_vector();
  const std::vector<double> bias = random_tensor({ws[0]}, 3).to_vector(), dy = random_tensor(ys, 4).to_vector();
  std::vector<double> y(dy.size()), dx(x.size()), dw(w.size());
  const auto at = [](const Shape& s, int64_t a, int64_t b, int64_t i, int64_t j) {
    return static_cast<size_t>(((a * s[1] + b) * s[2] + i) * s[3] + j);
  };
  for (int64_t n = 0; n < ys[0]; ++n)
    for (int64_t k = 0; k < ys[1]; ++k)
      for (int64_t p = 0; p < ys[2]; ++p)
        for (int64_t q = 0; q < ys[3]; ++q) {
          const size_t out = at(ys, n, k, p, q);
          y[out] += bias[static_cast<size_t>(k)];
          for (int64_t j = 0; j < ws[1]; ++j)
            for (int64_t r = 0; r < ws[2]; ++r)
              for (int64_t s = 0; s < ws[3]; ++s) {
                const int64_t channel = k / (ws[0] / o.groups) * ws[1] + j;
                const int64_t h = p * o.stride.height + r * o.dilation.height - o.padding.height;
                const int64_t v = q * o.stride.width + s * o.dilation.width - o.padding.width;
                if (h < 0 || h >= xs[2] || v < 0 || v >= xs[3]) continue;
                const size_t in = at(xs, n, channel, h, v), tap = at(ws, k, j, r, s);
                y[out] += x[in] * w[tap];
                dx[in] += dy[out] * w[tap];
                dw[tap] += dy[out] * x[in];
              }
        }
  return {tensor_of(y, ys, DType::f64), tensor_of(dx, xs, DType::f64), tensor_of(dw, ws, DType::f64)};
}

void check_close(const ConvResults& actual, const ConvResults& expected, double tolerance) {
  CHECK(difference(actual.y, expected.y) <= tolerance);
  CHECK(difference(actual.dx, expected.dx) <= tolerance);
  CHECK(difference(actual.dw, expected.dw) <= tolerance);
}

bool same_bits(const Tensor& a, const Tensor& b) { return a.to_vector() == b.to_vector(); }

class AlgorithmScope {
 public:
  explicit AlgorithmScope(ConvAlgorithm algorithm) : previous_(conv_algorithm()) { set_conv_algorithm(algorithm); }
  ~AlgorithmScope() { set_conv_algorithm(previous_); }

 private:
  ConvAlgorithm previous_;
};

class ThreadScope {
 public:
  explicit ThreadScope(int n) : previous_(num_threads()) { set_num_threads(n); }
  ~ThreadScope() { set_num_threads(previous_); }

 private:
  int previous_;
};

}  // namespace

TEST_CASE("conv: the reference computes the formula and its gradients", "[conv]") {
  const BackendScope scope(Backend::reference);
  for (const ConvCase& c : small_cases()) {
    INFO(c.name);
    const ConvResults expected = formula(c);
    check_close(run(c, DType::f64), expected, 1e-14);
    check_close(run(c, DType::f32), expected, 1e-7);  // f64 sums, rounded once
  }
}

TEST_CASE("conv: the reference gives the same bits for every number of threads", "[conv]") {
  const BackendScope scope(Backend::reference);
  for (const ConvCase& c : small_cases()) {
    INFO(c.name);
    const ConvResults here = run(c, DType::f32);
    const ThreadScope threads(3);
    const ConvResults there = run(c, DType::f32);
    CHECK(same_bits(here.y, there.y));
    CHECK(same_bits(here.dx, there.dx));
    CHECK(same_bits(here.dw, there.dw));
  }
}

TEST_CASE("conv: inputs may be views", "[conv]") {
  for (const Backend side : backends()) {
    const BackendScope scope(side);
    const Tensor x = random_tensor({2, 5, 6, 7}, 1, DType::f32), w = random_tensor({4, 7, 3, 3}, 2, DType::f32);
    const Tensor view = permute(x, {0, 3, 1, 2});
    CHECK(same_bits(conv2d(view, w, {}, {.padding = 1}), conv2d(view.clone(), w, {}, {.padding = 1})));
  }
}

TEST_CASE("conv_transpose2d: scatters every input over the output", "[conv]") {
  // One input pixel of 2 puts twice the kernel at stride times its place; padding cuts the border off.
  Tensor x = zeros({1, 1, 2, 2});
  x.mutable_data<float>()[3] = 2;
  const Tensor w = tensor_of({1, 2, 3, 4}, {1, 1, 2, 2}), bias = full({1}, 0.5);
  CHECK(conv_transpose2d(x, w, bias, {.stride = 2}).to_vector() ==
        std::vector<double>{.5, .5, .5, .5, .5, .5, .5, .5, .5, .5, 2.5, 4.5, .5, .5, 6.5, 8.5});
  CHECK(conv_transpose2d(x, w, {}, {.stride = 2, .padding = 1}).to_vector() == std::vector<double>{0, 0, 0, 2});
  CHECK(conv_transpose2d(x, w, {}, {.stride = 2, .padding = 1, .output_padding = 1}).shape() == Shape{1, 1, 3, 3});
}

TEST_CASE("conv: padding as in PyTorch's padding='same'", "[conv]") {
  const Tensor x = random_tensor({1, 2, 6, 7}, 1), w = random_tensor({3, 2, 4, 3}, 2);
  const Conv2dOptions o = same_padding({4, 3}, {.dilation = {1, 2}});
  CHECK(o.padding == Pair2d(1, 2));
  CHECK(o.end() == Pair2d(2, 2));  // the odd row lies below
  CHECK(conv2d(x, w, {}, o).shape() == Shape{1, 3, 6, 7});
  CHECK_THROWS_WITH(same_padding(3, {.stride = 2}), ContainsSubstring("same_padding: stride must be 1, got 2"));
}

#ifdef SFUMATO_FAST
TEST_CASE("conv: the fast backend agrees with f64, directly and by Winograd", "[conv]") {
  std::vector<ConvCase> cases = small_cases();
  for (const ConvCase& c : large_cases()) {
    cases.push_back(c);
  }
  for (const ConvCase& c : cases) {
    INFO(c.name);
    ConvResults expected;
    {
      const BackendScope scope(Backend::reference);
      expected = run(c, DType::f64);
    }
    const BackendScope scope(Backend::fast);
    const uint64_t fallbacks = fallback_count();
    for (const auto algorithm : {ConvAlgorithm::direct, ConvAlgorithm::winograd, ConvAlgorithm::auto_}) {
      INFO("algorithm " << static_cast<int>(algorithm));
      const AlgorithmScope chosen(algorithm);
      check_close(run(c, DType::f32), expected, algorithm == ConvAlgorithm::direct ? kF32Tolerance : 2e-5);
    }
    CHECK(fallback_count() == fallbacks);
  }
}

TEST_CASE("conv: a repeated convolution creates no primitive", "[conv]") {
  const BackendScope scope(Backend::fast);
  for (const auto algorithm : {ConvAlgorithm::direct, ConvAlgorithm::auto_}) {
    const AlgorithmScope chosen(algorithm);
    const auto all = [] {
      for (const ConvCase& c : small_cases()) run(c, DType::f32);
    };
    all();
    const uint64_t before = onednn_primitives_created();
    CHECK(before > 0);
    all();
    CHECK(onednn_primitives_created() == before);
  }
}
#endif

TEST_CASE("conv: a gradient that nobody needs is not computed", "[conv]") {
  // In f64 under the fast backend every kernel call is counted as a fallback.
  if (!fast_backend_available()) return;
  const BackendScope scope(Backend::fast);
  const auto kernel_calls = [](bool x_needs, bool weight_needs) {
    const Variable x(random_tensor({1, 2, 4, 4}, 1), x_needs), w(random_tensor({3, 2, 3, 3}, 2), weight_needs);
    const Variable y = conv2d(x, w);
    const uint64_t before = fallback_count();
    y.backward(random_tensor({1, 3, 2, 2}, 3));
    return fallback_count() - before;
  };
  CHECK(kernel_calls(true, true) == 2);
  CHECK(kernel_calls(true, false) == 1);
  CHECK(kernel_calls(false, true) == 1);
}
