#include "autograd/ops/attention.h"

#include <cmath>
#include <string>

#include "autograd/anomaly.h"
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

TEST_CASE("attention: a query that sees nothing gives zeros, and nothing on the way is infinite", "[ops][attention]") {
  const AnomalyGuard guard;  // throws at the first NaN or infinity, forward or back
  const Variable q(random_tensor({2, 3}, 1), true), k(random_tensor({2, 3}, 2), true),
      v(random_tensor({2, 3}, 3), true);
  const Tensor mask = tensor_of({0, 0, 1, 0}, {2, 2}, DType::boolean);
  const Variable y = scaled_dot_product_attention(q, k, v, {.attn_mask = mask});
  CHECK(difference(select(y.tensor(), 0, 0), zeros({3}, DType::f64)) == 0);
  CHECK(difference(select(y.tensor(), 0, 1), select(v.tensor(), 0, 0)) == 0);
  sum(y).backward();
  CHECK(v.grad().tensor().to_vector() == std::vector<double>{1, 1, 1, 0, 0, 0});
}
