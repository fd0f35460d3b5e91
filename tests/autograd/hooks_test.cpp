// Hooks of gradients and of saved tensors.
#include <memory>
#include <vector>

#include "autograd/gradcheck.h"
#include "autograd/record.h"
#include "catch.h"
#include "tensor/allocator.h"

using namespace sfumato;

namespace {
using Values = std::vector<double>;
Variable leaf(double value, const Shape& shape = {}) { return Variable(full(shape, value, DType::f64), true); }
}  // namespace

TEST_CASE("hooks: run in order of registration until they are removed", "[autograd]") {
  Variable x = leaf(1);
  HookHandle plus = x.register_hook([](const Variable& g) { return g + 1.0; });
  x.register_hook([](const Variable& g) { return g * 10.0; });
  (x * 2.0).backward();
  CHECK(x.grad().item() == 30);
  plus.remove();
  plus.remove();
  x.zero_grad();
  (x * 2.0).backward();
  CHECK(x.grad().item() == 20);
}

TEST_CASE("hooks: removing gives back what the hook holds", "[autograd]") {
  const auto held = std::make_shared<int>(1);
  Variable x = leaf(1);
  HookHandle handle = x.register_hook([held](const Variable&) { return Variable(); });
  CHECK(held.use_count() == 2);
  handle.remove();
  CHECK(held.use_count() == 1);
}

TEST_CASE("hooks: may register hooks, remove themselves and call grad()", "[autograd]") {
  Variable x = leaf(2);
  Values seen;
  HookHandle self;
  self = x.register_hook([&](const Variable& g) {
    self.remove();
    for (int i = 0; i < 20; ++i) {
      x.register_hook([&, i](const Variable&) {
        seen.push_back(i);
        return Variable();
      });
    }
    const GradModeGuard on(true);
    const Variable y = leaf(3);
    return g + grad(y * y, std::vector{y})[0];
  });
  (x * x).backward();
  CHECK(x.grad().item() == 4 + 6);
  CHECK(seen.empty());  // what a hook registers waits for the next pass
  (x * x).backward();
  CHECK(x.grad().item() == 14);
  CHECK(seen.size() == 20);
}

TEST_CASE("saved tensor hooks: what is kept is packed, and gradients come from what is unpacked", "[autograd]") {
  const Variable x(full({1 << 12}, 0.3), true);
  const auto f = [&] { return sum(tanh(square(silu(x * 1.0)))); };
  const Variable reference = grad(f(), std::vector{x}, {}, {.create_graph = true})[0].detach();
  int packed = 0, unpacked = 0;
  Variable loss, second;
  const size_t before = allocator_stats().live_bytes;
  {
    const SavedTensorHooks hooks(
        [&](const Tensor& t) {
          ++packed;
          return t.to(DType::f64);
        },
        [&](const Tensor& t) {
          ++unpacked;
          return t.to(DType::f32);
        });
    loss = f();
  }
  CHECK(packed >= 3);
  CHECK(unpacked == 0);
  second = grad(loss, std::vector{x}, {}, {.create_graph = true})[0];
  CHECK(unpacked >= 3);
  CHECK(second.tensor().to_vector() == reference.tensor().to_vector());
  CHECK(grad(sum(second), std::vector{x})[0].tensor().to_vector() ==
        grad(sum(grad(f(), std::vector{x}, {}, {.create_graph = true})[0]), std::vector{x})[0].tensor().to_vector());
  loss = second = Variable();
  CHECK(allocator_stats().live_bytes == before);
}

TEST_CASE("saved tensor hooks: parameters stay as they are, a wrong unpack is named", "[autograd]") {
  const Variable w(ones({3}), true);
  Variable loss;
  {
    const SavedTensorHooks hooks([](const Tensor&) { return Tensor(); }, [](const Tensor&) { return ones({2}); });
    loss = sum(w * w);
    CHECK_NOTHROW(loss.backward());
    loss = sum(exp(w * 1.0));
  }
  CHECK_THROWS_WITH(loss.backward(), ContainsSubstring("f32 (3,) was packed, but unpack returned f32 (2,)"));
  CHECK_THROWS_WITH(SavedTensorHooks(TensorHook(), TensorHook()), ContainsSubstring("must both be given"));
}

TEST_CASE("gradcheck: several outputs, f64 only, and a report of the wrong entry", "[autograd]") {
  const std::vector<Tensor> x{full({3}, 0.4, DType::f64), full({3}, 0.7, DType::f64)};
  const SeveralOutputs good = [](std::span<const Variable> v) { return std::vector{v[0] * v[1], sum(exp(v[0]))}; };
  CHECK(gradcheck(good, x));
  const auto wrong_square = [](const Variable& v) {
    const auto rule = [v = save(v)](const Variable& g) { return g * v() * 2.001; };
    return record("wrong", v.tensor() * v.tensor(), wrt(v, rule));
  };
  const SeveralOutputs bad = [&](std::span<const Variable> v) { return std::vector{exp(v[0]), wrong_square(v[1])}; };
  std::string why;
  CHECK_FALSE(gradcheck(bad, x, {}, &why));
  CHECK_THAT(why, ContainsSubstring("input 1, entry 0: analytic"));
  CHECK_THROWS_WITH(gradcheck(good, {ones({3}), ones({3})}), ContainsSubstring("inputs must be f64, got f32"));
  const DifferentiableFunction narrow = [](std::span<const Variable> v) { return to(v[0], DType::f32); };
  CHECK_THROWS_WITH(gradcheck(narrow, x), ContainsSubstring("output must be f64, got f32"));
}
