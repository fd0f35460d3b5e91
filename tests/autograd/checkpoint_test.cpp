// checkpoint(): the same bits with less memory, for inputs and for what the function captures.
#include "autograd/checkpoint.h"

#include "autograd/autocast.h"
#include "catch.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "tensor/allocator.h"
#include "tensor/ops/compare.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

using Inputs = std::span<const Variable>;

// A block with parameters, dropout and a wide middle.
struct Block : Module {
  Linear in{8, 256}, out{256, 8};
  Dropout drop{0.3};
  void visit(Visitor& v) override { v("in", in)("out", out)("drop", drop); }
  Variable operator()(const Variable& x, const Variable& shift) const { return x + out(drop(silu(in(x) + shift))); }
};

bool same(const Variable& a, const Variable& b) { return all(eq(a.tensor(), b.tensor())).item() == 1; }

struct Gradients {
  Variable loss, x, shift;
  std::vector<Variable> parameters;
};

Gradients run(Block& block, bool checkpointed) {
  RandomScope scope({.seed = 3, .step = 7});
  block.zero_grad();
  Gradients g;
  Variable x(randn({4, 8}, "x"), true), shift(randn({256}, "shift"), true);
  const auto f = [&](Inputs in) { return block(in[0], in[1]); };
  const Variable doubled = shift * 2.0;  // a recorded input
  const Variable y = checkpointed ? checkpoint(f, {x, doubled}) : f(std::vector{x, doubled});
  g.loss = sum(square(y));
  g.loss.backward();
  g.x = x.grad();
  g.shift = shift.grad();
  for (const Variable& parameter : block.parameters()) g.parameters.push_back(parameter.grad());
  return g;
}

}  // namespace

TEST_CASE("checkpoint: losses and gradients have the same bits, dropout included", "[autograd][checkpoint]") {
  Block block;
  initialize(block, 1);
  const Gradients plain = run(block, false), saved = run(block, true);
  CHECK(same(plain.loss, saved.loss));
  CHECK(same(plain.x, saved.x));
  CHECK(same(plain.shift, saved.shift));
  REQUIRE(plain.parameters.size() == 4);
  for (size_t i = 0; i < plain.parameters.size(); ++i) CHECK(same(plain.parameters[i], saved.parameters[i]));
}

TEST_CASE("checkpoint: what the function computes on the way is not kept", "[autograd][checkpoint]") {
  const auto f = [](Inputs in) {
    Variable h = in[0];
    for (int i = 0; i < 10; ++i) h = tanh(h * 1.1);
    return h;
  };
  const auto kept_by = [&](bool checkpointed) {
    Variable x(full({1 << 14}, 0.5), true);
    const size_t before = allocator_stats().live_bytes;
    const Variable y = checkpointed ? checkpoint(f, {x}) : f(std::vector{x});
    return allocator_stats().live_bytes - before;
  };
  CHECK(kept_by(true) < 2 * sizeof(float) * (1 << 14));    // the result
  CHECK(kept_by(false) > 10 * sizeof(float) * (1 << 14));  // and each step's
}

TEST_CASE("checkpoint: inside one another, and several times over", "[autograd][checkpoint]") {
  const auto inner = [](Inputs in) { return sin(in[0]) * in[0]; };
  const auto outer = [&](Inputs in) { return checkpoint(inner, {exp(in[0])}) + in[0]; };
  Variable a(full({3}, 0.3, DType::f64), true), b(full({3}, 0.3, DType::f64), true);
  const Variable plain = exp(a);
  sum(sin(plain) * plain + a).backward();
  sum(checkpoint(outer, {b})).backward();
  CHECK(same(a.grad(), b.grad()));
}

TEST_CASE("checkpoint: rules and errors", "[autograd][checkpoint]") {
  Variable x(full({3}, 0.5), true);
  const auto square_of = [](Inputs in) { return square(in[0]); };
  const Variable once = sum(checkpoint(square_of, {x}));
  CHECK_THROWS_WITH(grad(once, {{x}}, {}, {.create_graph = true}), ContainsSubstring("checkpoint: the backward pass"));
  CHECK_THROWS_WITH(checkpoint([](Inputs) { return Variable(); }, {x}), ContainsSubstring("undefined"));

  // Constants in, a constant out; without recording a plain call.
  CHECK_FALSE(checkpoint(square_of, {Variable(ones({2}))}).requires_grad());
  {
    NoGradGuard guard;
    CHECK_FALSE(checkpoint(square_of, {x}).requires_grad());
  }

  Variable w(full({3}, 2.0), true);
  const Variable y = sum(checkpoint([&](Inputs in) { return in[0] * w; }, {x}));
  Tensor memory = w.tensor();
  memory.fill(3);
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("modified in place"));
}

TEST_CASE("checkpoint: an input that is read outside too, and several times inside", "[autograd][checkpoint]") {
  const auto f = [](Inputs in) { return tanh(in[0]) * in[0] + sin(in[0]); };
  const auto gradient = [&](bool checkpointed) {
    Variable x(randn({257}, "x"), true);
    const Variable h = x * 1.3;
    const Variable y = checkpointed ? checkpoint(f, {h}) : f(std::vector{h});
    sum(y * square(h)).backward();
    return x.grad();
  };
  CHECK(same(gradient(true), gradient(false)));
}

TEST_CASE("checkpoint: a recorded variable that is captured gets its gradient", "[autograd][checkpoint]") {
  Variable x(full({3}, 0.5, DType::f64), true);
  const Variable outside = exp(x);
  sum(checkpoint([&](Inputs in) { return in[0] * outside; }, {x})).backward();
  Variable y(full({3}, 0.5, DType::f64), true);
  sum(y * exp(y)).backward();
  CHECK(same(x.grad(), y.grad()));
}

TEST_CASE("checkpoint: a graph that is retained can be walked twice", "[autograd][checkpoint]") {
  Variable x(full({3}, 0.5, DType::f64), true);
  int calls = 0;
  const Variable y = sum(checkpoint(
      [&](Inputs in) {
        ++calls;
        return sigmoid(exp(in[0])) * in[0];
      },
      {x}));
  const Variable once = grad(y, {{x}}, {}, {.retain_graph = true})[0], twice = grad(y, {{x}})[0];
  CHECK(same(once, twice));
  CHECK(calls >= 2);
}

TEST_CASE("checkpoint: a function that does something else when it runs again", "[autograd][checkpoint]") {
  Variable x(full({3}, 0.5), true);
  int calls = 0;
  const auto more_each_time = [&](Inputs in) {
    Variable y = square(in[0]);
    for (int i = 0; i < calls; ++i) y = square(y);
    ++calls;
    return y;
  };
  const Variable y = sum(checkpoint(more_each_time, {x * 2.0}));
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("saved 1 tensors when it was first run, and 2 when"));
  Variable z(full({3}, 0.5), true);
  const Variable input = z * 1.0;
  const Variable late = sum(checkpoint([](Inputs in) { return square(in[0]); }, {input}));
  Tensor memory = input.tensor();
  memory.fill(3);
  CHECK_THROWS_WITH(late.backward(), ContainsSubstring("an input of shape (3,) has been modified in place"));
}

TEST_CASE("checkpoint: an exception in the second run leaves nothing behind", "[autograd][checkpoint]") {
  Variable x(full({1 << 12}, 0.5), true);
  const size_t before = allocator_stats().live_bytes;
  {
    int calls = 0;
    const Variable y = sum(checkpoint(
        [&](Inputs in) {
          check(++calls == 1, "second run");
          return square(in[0] * 2.0);
        },
        {x}));
    CHECK_THROWS_WITH(y.backward(), ContainsSubstring("second run"));
  }
  CHECK(allocator_stats().live_bytes == before);
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("checkpoint: a captured leaf's hook sees its whole gradient once", "[autograd][checkpoint]") {
  const Variable x(full({2}, 3, DType::f64), true);
  Variable w(full({2}, 2, DType::f64), true);
  int calls = 0;
  w.register_hook([&](const Variable& g) {
    ++calls;
    return g * 10.0;
  });
  sum(checkpoint([&](std::span<const Variable> in) { return in[0] * w; }, {x}) + w).backward();
  CHECK(calls == 1);
  CHECK(w.grad().tensor().to_vector() == std::vector<double>{40, 40});
}

TEST_CASE("checkpoint: the first run keeps nothing either", "[autograd][checkpoint]") {
  const size_t nothing = allocator_stats().live_bytes;
  const Variable x(full({1 << 14}, 0.5), true);
  const size_t before = allocator_stats().live_bytes;
  const size_t one = before - nothing;
  const auto chain = [](std::span<const Variable> in) {
    Variable y = in[0];
    for (int i = 0; i < 7; ++i) {
      y = tanh(y);
    }
    return y;
  };
  reset_peak();
  const Variable y = checkpoint(chain, {x});
  CHECK(allocator_stats().peak_bytes <= before + 2 * one);
  CHECK(allocator_stats().live_bytes == before + one);
}

TEST_CASE("checkpoint: under autocast, with a weight that was cast before", "[autograd][checkpoint]") {
  const Variable x(full({2}, 3), true), w(full({2}, 2), true);
  const AutocastGuard guard;
  const auto f = [&](std::span<const Variable> in) { return autocast_f32(autocast_low(in[0]) * autocast_low(w)); };
  const Variable before = autocast_f32(autocast_low(w));
  Variable loss;
  REQUIRE_NOTHROW(loss = sum(checkpoint(f, {x}) + before));
  loss.backward();
  CHECK(w.grad().tensor().to_vector() == std::vector<double>{4, 4});
}

TEST_CASE("autocast: a kept cast is not used once it is freed or its weight replaced", "[autograd][autocast]") {
  Variable w(full({2}, 2), true);
  const AutocastGuard guard;
  sum(autocast_f32(autocast_low(w))).backward();
  REQUIRE_NOTHROW(sum(autocast_f32(autocast_low(w))).backward());
  CHECK(w.grad().tensor().to_vector() == std::vector<double>{2, 2});
  const Variable kept = autocast_low(w);
  CHECK(autocast_low(w).state() == kept.state());
  w.set_tensor(full({2}, 7));  // with the version number of what it replaces
  CHECK(autocast_f32(autocast_low(w)).tensor().to_vector() == std::vector<double>{7, 7});
}
