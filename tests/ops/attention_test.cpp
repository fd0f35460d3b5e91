#include "autograd/ops/attention.h"

#include <cmath>
#include <string>

#include "autograd/gradcheck.h"
#include "autograd/variable.h"
#include "catch.h"
#include "ops/linalg_support.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

// One query after the other, as the formula reads: q (L, D), k (S, D), v (S, E).
std::vector<double> by_definition(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  const std::vector<double> a = q.to_vector(), b = k.to_vector(), c = v.to_vector();
  const int64_t depth = q.size(1), keys = k.size(0), width = v.size(1);
  std::vector<double> out;
  for (int64_t i = 0; i < q.size(0); ++i) {
    std::vector<double> weight(static_cast<size_t>(keys));
    double total = 0;
    for (int64_t j = 0; j < keys; ++j) {
      double score = 0;
      for (int64_t d = 0; d < depth; ++d) {
        score += a[i * depth + d] * b[j * depth + d];
      }
      total += weight[j] = std::exp(scale * score);
    }
    for (int64_t e = 0; e < width; ++e) {
      double sum = 0;
      for (int64_t j = 0; j < keys; ++j) {
        sum += weight[j] / total * c[j * width + e];
      }
      out.push_back(sum);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("scaled_dot_product_attention: equals its definition", "[ops][attention]") {
  const Tensor q = random_tensor({5, 3}, 1), k = random_tensor({7, 3}, 2), v = random_tensor({7, 4}, 3);
  for (const double scale : {0.0, 2.5}) {
    const Tensor expected =
        tensor_of(by_definition(q, k, v, scale == 0 ? 1 / std::sqrt(3.0) : scale), {5, 4}, DType::f64);
    CHECK(difference(scaled_dot_product_attention(q, k, v, scale).tensor(), expected) < 1e-13);
    for (const Backend backend : backends()) {
      const BackendScope scope(backend);
      const Variable y = scaled_dot_product_attention(q.to(DType::f32), k.to(DType::f32), v.to(DType::f32), scale);
      CHECK(difference(y.tensor(), expected) < kF32Tolerance);
    }
  }
}

TEST_CASE("attention_channels_first: each head attends on its own channels", "[ops][attention]") {
  const Tensor q = random_tensor({2, 6, 5}, 4), k = random_tensor({2, 6, 9}, 5), v = random_tensor({2, 6, 9}, 6);
  for (const int64_t heads : {1, 2, 3, 6}) {
    const int64_t depth = 6 / heads;
    for (const Backend backend : backends()) {
      const BackendScope scope(backend);
      const Tensor out = attention_channels_first(q, k, v, heads).tensor();
      const Tensor out32 =
          attention_channels_first(q.to(DType::f32), k.to(DType::f32), v.to(DType::f32), heads).tensor();
      REQUIRE(out.shape() == q.shape());
      for (int64_t n = 0; n < 2; ++n) {
        for (int64_t h = 0; h < heads; ++h) {
          const auto part = [&](const Tensor& x) {
            return transpose(narrow(select(x, 0, n), 0, h * depth, depth), 0, 1);
          };
          const Tensor expected =
              tensor_of(by_definition(part(q), part(k), part(v), 1 / std::sqrt(static_cast<double>(depth))), {5, depth},
                        DType::f64);
          CHECK(difference(part(out), expected) < 1e-13);
          CHECK(difference(part(out32), expected) < kF32Tolerance);
        }
      }
    }
  }
}

// The U-Net takes q, k and v as slices of one product, and its gradients must come back through them.
TEST_CASE("attention: slices of a joint projection", "[ops][attention]") {
  const Tensor joint = random_tensor({2, 12, 5}, 7);
  const auto part = [](const Variable& x, int64_t i) { return narrow(x, 1, 4 * i, 4); };
  const Variable y = attention_channels_first(part(joint, 0), part(joint, 1), part(joint, 2), 2);
  const auto copy = [&](int64_t i) { return Variable(part(joint, i).tensor().clone()); };
  CHECK(difference(y.tensor(), attention_channels_first(copy(0), copy(1), copy(2), 2).tensor()) < 1e-15);
}

TEST_CASE("attention: gradients of first and second order", "[ops][attention][gradcheck]") {
  using In = std::span<const Variable>;
  std::string why;
  const auto sequence = [](In v) { return scaled_dot_product_attention(v[0], v[1], v[2]); };
  const std::vector<Tensor> a = {random_tensor({2, 3, 2}, 8), random_tensor({2, 4, 2}, 9),
                                 random_tensor({2, 4, 3}, 10)};
  CHECK(gradcheck(sequence, a, {}, &why));
  INFO(why);
  CHECK(gradgradcheck(sequence, a, {}, &why));
  INFO(why);
  const auto image = [](In v) { return attention_channels_first(v[0], v[1], v[2], 2); };
  const std::vector<Tensor> b = {random_tensor({2, 4, 3}, 11), random_tensor({2, 4, 2}, 12),
                                 random_tensor({2, 4, 2}, 13)};
  CHECK(gradcheck(image, b, {}, &why));
  INFO(why);
  CHECK(gradgradcheck(image, b, {}, &why));
  INFO(why);
}

TEST_CASE("attention: errors say what was expected and what came", "[ops][attention]") {
  const auto z = [](const Shape& shape) { return Variable(zeros(shape)); };
  CHECK_THROWS_WITH(scaled_dot_product_attention(z({2, 3}), z({2, 4}), z({2, 4})),
                    ContainsSubstring("differ in depth"));
  CHECK_THROWS_WITH(scaled_dot_product_attention(z({2, 3}), z({2, 3}), z({5, 3})),
                    ContainsSubstring("differ in length"));
  CHECK_THROWS_WITH(scaled_dot_product_attention(z({3}), z({3}), z({3})), ContainsSubstring("(..., length, depth)"));
  CHECK_THROWS_WITH(attention_channels_first(z({1, 6, 4}), z({1, 6, 4}), z({1, 6, 4}), 4),
                    ContainsSubstring("6 channels do not divide into 4 heads"));
  CHECK_THROWS_WITH(attention_channels_first(z({1, 6, 4}), z({1, 5, 4}), z({1, 5, 4}), 1),
                    ContainsSubstring("attention_channels_first: q (1, 6, 4)"));
}
