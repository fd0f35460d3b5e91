// Autocast: which dtype each op computes in, and that f32 parameters get f32 gradients near those without it.
#include "autograd/autocast.h"

#include "catch.h"
#include "tensor/ops/compare.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

Variable leaf(const Shape& shape, std::string_view purpose) { return Variable(randn(shape, purpose), true); }

// conv, norm and activation, attention's softmax, a projection and a loss: some of each list.
Variable loss_of(const Variable& x, const Variable& w, const Variable& scale, const Variable& projection) {
  const Variable h = silu(group_norm(conv2d(x, w, {}, {.padding = 1}), scale, {}, {.num_groups = 2}));
  const Variable flat = reshape(h, {x.size(0), 4 * 16});
  return mse_loss(softmax(linear(flat, projection), -1), Variable(zeros({x.size(0), 3})));
}

}  // namespace

TEST_CASE("autocast: products in bf16, norms and losses in f32, the rest in what it is given", "[autograd][autocast]") {
  const Variable x = leaf({2, 4, 4, 4}, "x"), w = leaf({4, 4, 3, 3}, "w"), a = leaf({4, 4}, "a");
  const AutocastGuard guard;
  const Variable h = conv2d(x, w, {}, {.padding = 1});
  CHECK(h.dtype() == DType::bf16);
  CHECK(matmul(a, a).dtype() == DType::bf16);
  CHECK(linear(a, a).dtype() == DType::bf16);
  CHECK(silu(h).dtype() == DType::bf16);
  CHECK((h + x).dtype() == DType::f32);
  CHECK(group_norm(h, {}, {}, {.num_groups = 2}).dtype() == DType::f32);
  CHECK(softmax(h, -1).dtype() == DType::f32);
  CHECK(mse_loss(h, h).dtype() == DType::f32);
  {
    const AutocastGuard off(DType::bf16, false);
    CHECK(matmul(a, a).dtype() == DType::f32);
  }
  CHECK(matmul(a, a).dtype() == DType::bf16);
  CHECK_THROWS_WITH(AutocastGuard(DType::f64), ContainsSubstring("the lower precision is bf16, got f64"));
}

TEST_CASE("autocast: gradients of f32 leaves are f32 and near those without it", "[autograd][autocast]") {
  std::vector<Variable> leaves{leaf({2, 4, 4, 4}, "x"), leaf({4, 4, 3, 3}, "w"), leaf({4}, "s"), leaf({3, 64}, "p")};
  const auto loss = [&] { return loss_of(leaves[0], leaves[1], leaves[2], leaves[3]); };
  const auto wanted = grad(loss(), leaves);
  Variable low;
  {
    const AutocastGuard guard;
    low = loss();
  }
  const auto got = grad(low, leaves);
  for (size_t i = 0; i < leaves.size(); ++i) {
    REQUIRE(got[i].dtype() == DType::f32);
    const double largest = amax(abs(wanted[i].tensor())).item();
    CHECK(amax(abs(got[i].tensor() - wanted[i].tensor())).item() < 0.05 * largest);
  }
}
