// What the engine promises: where gradients go, when graphs are freed, hooks, higher derivatives, errors.
#include "autograd/engine.h"

#include <cmath>
#include <stdexcept>
#include <thread>
#include <vector>

#include "autograd/record.h"
#include "catch.h"
#include "tensor/allocator.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;

Variable leaf(double value, const Shape& shape = {}) { return Variable(full(shape, value, DType::f64), true); }

Values gradient_of(const Variable& x) { return x.grad().tensor().to_vector(); }

}  // namespace

TEST_CASE("engine: gradients accumulate over passes and over uses", "[autograd]") {
  const Variable x = leaf(3);
  (x * x).backward();
  CHECK(gradient_of(x) == Values{6});
  (x * x * x).backward();
  CHECK(gradient_of(x) == Values{6 + 27});
  Variable(x).zero_grad();
  (x + x + x).backward();
  CHECK(gradient_of(x) == Values{3});
}

TEST_CASE("engine: a leaf may be its own output", "[autograd]") {
  const Variable x = leaf(3);
  x.backward();
  x.backward();
  CHECK(gradient_of(x) == Values{2});
  const auto gradients = grad(x, std::vector{x});
  CHECK(gradients[0].item() == 1);
}

TEST_CASE("engine: accumulating never changes a gradient that somebody holds", "[autograd]") {
  Variable x(ones({4}), true);  // f32: the engine adds in place where nobody can see it
  sum(x * 2.0).backward();
  const Variable held = x.grad();
  const Tensor seen = held.tensor();
  sum(x * 3.0).backward();
  CHECK(held.tensor().to_vector() == Values{2, 2, 2, 2});
  CHECK(seen.to_vector() == Values{2, 2, 2, 2});
  CHECK(x.grad().tensor().to_vector() == Values{5, 5, 5, 5});
  const Tensor values = x.grad().tensor();  // the tensor alone
  sum(x * 4.0).backward();
  CHECK(values.to_vector() == Values{5, 5, 5, 5});
  CHECK(x.grad().tensor().to_vector() == Values{9, 9, 9, 9});

  // What a rule returns may be a view of what another input got.
  const Variable v(ones({4}), true), w(ones({2, 2}), true);
  const Variable last = sum(v * 10.0);
  (sum(reshape(v, {2, 2}) + w) + last).backward();
  CHECK(w.grad().tensor().to_vector() == Values{1, 1, 1, 1});
  CHECK(v.grad().tensor().to_vector() == Values{11, 11, 11, 11});
}

TEST_CASE("engine: the caller's cotangent is not written to", "[autograd]") {
  const Variable x(ones({4}), true);
  const Variable cotangent(full({4}, 2));
  const Variable y = x + x;  // both rules hand the same tensor on
  y.backward(cotangent, {.retain_graph = true});
  y.backward(cotangent);
  CHECK(cotangent.tensor().to_vector() == Values{2, 2, 2, 2});
  CHECK(x.grad().tensor().to_vector() == Values{8, 8, 8, 8});
}

TEST_CASE("engine: gradients may share memory, but each leaf has a handle of its own", "[autograd]") {
  const Variable x = leaf(1), y = leaf(2), cotangent(scalar(1, DType::f64));
  (x + y).backward(cotangent);
  CHECK_FALSE(x.grad().state() == y.grad().state());
  CHECK_FALSE(x.grad().state() == cotangent.state());
  CHECK_FALSE(y.grad().state() == cotangent.state());
}

TEST_CASE("engine: diamonds wait for all their gradients", "[autograd]") {
  const Variable x = leaf(2);
  const Variable a = x * x, b = a * x, c = a + b;  // x^2 + x^3
  (c * a).backward();                              // x^4 + x^5
  CHECK(gradient_of(x) == Values{4 * 8 + 5 * 16});
}

TEST_CASE("engine: gradients of broadcast inputs are summed to their shape", "[autograd]") {
  const Variable row = leaf(1, {3}), column = leaf(2, {4, 1}), point = leaf(3);
  sum(row * column * point).backward();
  CHECK(gradient_of(row) == Values{24, 24, 24});
  CHECK(gradient_of(column) == Values{9, 9, 9, 9});
  CHECK(gradient_of(point) == Values{24});
}

TEST_CASE("engine: a second pass over a freed graph says which op and how to keep it", "[autograd]") {
  const Variable x = leaf(2);
  const Variable y = exp(x);
  y.backward();
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("'exp'") && ContainsSubstring("retain_graph"));
  const Variable z = exp(x);
  z.backward({}, {.retain_graph = true});
  CHECK_NOTHROW(z.backward());
  CHECK_THROWS_AS(z.backward(), Error);
}

TEST_CASE("engine: grad() leaves every leaf alone and stops at what was asked for", "[autograd]") {
  const Variable x = leaf(2), other = leaf(5);
  const Variable middle = x * x;
  const Variable y = middle * middle * other;
  const auto gradients = grad(y, std::vector{x, middle, other}, {}, {.retain_graph = true});
  CHECK(gradients[0].item() == 4 * 8 * 5);
  CHECK(gradients[1].item() == 2 * 4 * 5);
  CHECK(gradients[2].item() == 16);
  CHECK_FALSE(x.grad().defined());
  CHECK_FALSE(other.grad().defined());
  // Only for `middle` the part of the graph below it is not needed, and so not freed.
  grad(y, std::vector{middle});
  CHECK_NOTHROW(middle.backward());
  CHECK_THROWS_AS(grad(y, std::vector{middle}), Error);
}

TEST_CASE("engine: inputs that do not matter get nothing, wrong calls an error", "[autograd]") {
  const Variable x = leaf(2), unused = leaf(1), constant(scalar(1, DType::f64));
  const Variable y = x * x;
  CHECK_FALSE(grad(y, std::vector{unused}, {}, {.retain_graph = true})[0].defined());
  CHECK_THROWS_WITH(grad(y, std::vector{constant}), ContainsSubstring("does not require"));
  CHECK_THROWS_AS(grad(y, std::vector<Variable>{}), Error);
  const Variable wide = leaf(1, {3}) * 2.0;
  CHECK_THROWS_AS(grad(wide, std::vector{x}), Error);
  const std::vector<Variable> outputs{y, x * 3.0};
  const auto both = grad(outputs, std::vector{x});
  CHECK(both[0].item() == 7);
}

TEST_CASE("engine: derivatives of third order", "[autograd]") {
  const Variable x = leaf(0.7);
  const Variable y = sin(x) * x;
  const auto first = grad(y, std::vector{x}, {}, {.create_graph = true})[0];
  const auto second = grad(first, std::vector{x}, {}, {.create_graph = true})[0];
  const auto third = grad(second, std::vector{x}, {}, {.create_graph = true})[0];
  CHECK(first.item() == Approx(std::sin(0.7) + 0.7 * std::cos(0.7)));
  CHECK(second.item() == Approx(2 * std::cos(0.7) - 0.7 * std::sin(0.7)));
  CHECK(third.item() == Approx(-3 * std::sin(0.7) - 0.7 * std::cos(0.7)));
  CHECK(third.requires_grad());
  CHECK_FALSE(grad(y, std::vector{x})[0].requires_grad());  // without create_graph it is a constant
}

TEST_CASE("engine: backward with create_graph leaves a differentiable gradient in the leaf", "[autograd]") {
  Variable x = leaf(3);
  (x * x * x).backward({}, {.create_graph = true});
  const Variable slope = x.grad();
  CHECK(slope.item() == 27);
  x.zero_grad();
  slope.backward();
  CHECK(gradient_of(x) == Values{18});
}

TEST_CASE("engine: a chain of 200,000 ops is walked and freed without recursion", "[autograd]") {
  const Variable x = leaf(1);
  {
    Variable y = x;
    for (int i = 0; i < 200000; ++i) y = y + 0.5;
    y.backward();
    CHECK(gradient_of(x) == Values{1});
  }
  // Freed without having run, too.
  Variable y = x;
  for (int i = 0; i < 200000; ++i) y = y * 1.0;
  y = Variable();
  CHECK(x.defined());
}

TEST_CASE("engine: hooks see the whole gradient and may replace it", "[autograd]") {
  Variable x = leaf(2);
  Variable middle = x * 3.0;
  int calls = 0;
  middle.register_hook([&](const Variable& g) {
    ++calls;
    CHECK(g.item() == 6 + 7);  // both uses, summed
    return g * 10.0;
  });
  x.register_hook([&](const Variable& g) {
    ++calls;
    CHECK(g.item() == 390);
    return Variable();  // undefined: unchanged
  });
  (middle * 6.0 + middle * 7.0).backward();
  CHECK(calls == 2);
  CHECK(gradient_of(x) == Values{390});
  Variable shaped = leaf(1, {2});
  shaped.register_hook([](const Variable&) { return Variable(zeros({3}, DType::f64)); });
  CHECK_THROWS_WITH(sum(shaped * 2.0).backward(), ContainsSubstring("hook") && ContainsSubstring("(3,)"));
}

TEST_CASE("engine: hooks act in grad() as well", "[autograd]") {
  Variable x = leaf(2);
  Variable middle = x * 3.0;
  middle.register_hook([](const Variable& g) { return g * 2.0; });
  CHECK(grad(middle * 5.0, std::vector{x})[0].item() == 30);
}

TEST_CASE("engine: passes over one graph may run inside each other and in several threads", "[autograd]") {
  const Variable x = leaf(2);
  Variable a = x * x;
  const Variable y = a * x;
  int depth = 0;
  a.register_hook([&](const Variable&) {
    if (depth++ == 0) CHECK(grad(y, std::vector{x}, {}, {.retain_graph = true})[0].item() == 12);
    return Variable();
  });
  y.backward({}, {.retain_graph = true});
  CHECK(depth == 2);
  CHECK(gradient_of(x) == Values{12});

  const Variable z = x * x * x;
  std::vector<double> slopes(4);
  std::vector<std::thread> threads;
  for (double& slope : slopes) {
    threads.emplace_back([&x, &z, &slope] {
      for (int i = 0; i < 100; ++i) slope += grad(z, std::vector{x}, {}, {.retain_graph = true})[0].item();
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(slopes == Values{1200, 1200, 1200, 1200});
}

TEST_CASE("engine: a leaf that is several outputs gets one gradient, and its hooks one call", "[autograd]") {
  Variable x = leaf(2);
  int calls = 0;
  x.register_hook([&](const Variable& g) {
    ++calls;
    CHECK(g.item() == 2 + 4);
    return Variable();
  });
  const std::vector<Variable> outputs{x, x * x, x};
  CHECK(grad(outputs, std::vector{x})[0].item() == 6);
  CHECK(calls == 1);
}

TEST_CASE("engine: graphs larger than its buffer, with many edges to one node and many leaves", "[autograd]") {
  const Variable hub = leaf(3) * 1.0;
  std::vector<Variable> leaves, terms;
  for (int i = 0; i < 500; ++i) {
    leaves.push_back(leaf(i));
    terms.push_back(hub * leaves.back());
    terms.push_back(hub * 2.0);
  }
  const auto gradients = grad(sum(stack(terms, 0)), std::vector{hub, leaves[0], leaves[499]}, {}, {});
  CHECK(gradients[0].item() == 499 * 500 / 2 + 500 * 2);
  CHECK(gradients[1].item() == 3);
  CHECK(gradients[2].item() == 3);
}

TEST_CASE("engine: post-accumulate hooks run once per pass, after the last contribution", "[autograd]") {
  Variable x = leaf(2), y = leaf(1);
  std::vector<double> seen;
  x.register_post_accumulate_hook([&](Variable& self) { seen.push_back(self.grad().item()); });
  (x * x + x * y).backward();
  (x * 1.0).backward();
  CHECK(seen == std::vector<double>{5, 6});
  (y * 1.0).backward();  // does not reach x
  CHECK(seen.size() == 2);
  grad(x * x, std::vector{x});
  CHECK(seen.size() == 2);
}

TEST_CASE("engine: a post-accumulate hook fires although one of the paths carries nothing", "[autograd]") {
  // pow(x, 0) has no gradient at all: the leaf must not wait for it.
  Variable x = leaf(2);
  int calls = 0;
  x.register_post_accumulate_hook([&](Variable&) { ++calls; });
  (pow(exp(x), 0) + x).backward();
  CHECK(calls == 1);
  CHECK(gradient_of(x) == Values{1});
}

TEST_CASE("engine: a saved tensor that was modified is an error, not a wrong gradient", "[autograd]") {
  Tensor memory = full({2}, 3);
  const Variable x(ones({2}), true);
  const Variable y = sum(x * Variable(memory));
  memory.mutable_data<float>()[0] = 9;
  CHECK_THROWS_WITH(y.backward(), ContainsSubstring("modified in place") && ContainsSubstring("version"));
  const Variable z = exp(x);  // saves its output
  Tensor result = z.tensor();
  result.fill(0);
  CHECK_THROWS_WITH(sum(z).backward(), ContainsSubstring("'exp'") && ContainsSubstring("modified in place"));
}

TEST_CASE("engine: a tensor that nobody saved may be modified", "[autograd]") {
  Tensor memory = full({2}, 3);
  const Variable x(ones({2}), true);
  const Variable y = sum(x + Variable(memory));
  memory.fill(9);
  CHECK_NOTHROW(y.backward());
}

TEST_CASE("engine: what a pass needed is given back, and nothing else is kept", "[autograd]") {
  Variable x(full({1 << 14}, 0.5), true);
  sum(silu(x) * x).backward();  // now x has its gradient
  const size_t before = allocator_stats().live_bytes;
  {
    const Variable loss = sum(tanh(silu(x) * exp(x)) / (x + 2.0));
    CHECK(allocator_stats().live_bytes > before + (4u << 16));
    loss.backward();
    CHECK(allocator_stats().live_bytes <= before + 512);  // the loss itself; the graph's tensors are gone
  }
  CHECK(allocator_stats().live_bytes == before);
}

TEST_CASE("engine: inference keeps nothing alive", "[autograd]") {
  const Variable x(full({1 << 14}, 0.5), true);
  NoGradGuard off;
  const size_t before = allocator_stats().live_bytes;
  const Variable y = silu(x);
  reset_peak();
  const Variable z = exp(exp(exp(y)));
  CHECK(allocator_stats().live_bytes <= before + (3u << 16));
}

TEST_CASE("engine: an exception in a hook leaves nothing behind, and the next pass works", "[autograd]") {
  Variable x(full({1 << 12}, 0.5), true);
  const size_t before = allocator_stats().live_bytes;
  {
    Variable middle = silu(x);
    middle.register_hook([](const Variable&) -> Variable { throw std::runtime_error("hook"); });
    const Variable loss = sum(exp(middle) * middle);
    CHECK_THROWS_WITH(loss.backward(), ContainsSubstring("hook"));
  }
  CHECK(allocator_stats().live_bytes == before);
  CHECK(grad_enabled());
  CHECK_FALSE(x.grad().defined());
  sum(silu(x)).backward();
  CHECK(x.grad().defined());
}

TEST_CASE("engine: hooks that refer to their own variable do not keep the graph alive for ever", "[autograd]") {
  const size_t before = allocator_stats().live_bytes;
  {
    Variable x(full({1 << 12}, 0.5), true);
    x.register_post_accumulate_hook([](Variable& self) { self.zero_grad(); });
    sum(silu(x)).backward();
    CHECK_FALSE(x.grad().defined());
  }
  CHECK(allocator_stats().live_bytes == before);
}

TEST_CASE("engine: gradients go into a leaf's buffer: first an overwrite, then a sum", "[autograd]") {
  Tensor flat = full({8}, 99);
  Tensor buffer = flat.as_strided({4}, {1}, 2);
  Variable x(ones({4}), true);
  x.set_grad_buffer(buffer);
  sum(x * 2.0).backward();
  CHECK(flat.to_vector() == Values{99, 99, 2, 2, 2, 2, 99, 99});
  sum(x * 3.0).backward();
  CHECK(flat.to_vector() == Values{99, 99, 5, 5, 5, 5, 99, 99});
  CHECK(x.grad().tensor().shares_storage_with(flat));
  x.zero_grad();
  sum(x * 7.0).backward();
  CHECK(flat.to_vector() == Values{99, 99, 7, 7, 7, 7, 99, 99});
  x.set_grad_buffer(Tensor());
  sum(x * 1.0).backward();
  CHECK(flat.to_vector() == Values{99, 99, 7, 7, 7, 7, 99, 99});
}

TEST_CASE("record: a rule of an input that needs no gradient is dropped with what it saved", "[autograd]") {
  const size_t before = allocator_stats().live_bytes;
  const Variable x(full({1 << 14}, 0.5), true);
  const size_t with_x = allocator_stats().live_bytes;
  Variable y;
  {
    const Variable constant(full({1 << 14}, 2));
    y = x * constant;  // saves `constant` for x's rule, and not x for the constant's
  }
  CHECK(allocator_stats().live_bytes - with_x <= 2 * (with_x - before));
  // An op without any gradient records nothing at all.
  CHECK((Variable(ones({2})) * Variable(ones({2}))).is_leaf());
}

TEST_CASE("record: rules may be joint, take the output, and return nothing for zero", "[autograd]") {
  const Variable a = leaf(2), b = leaf(5), constant(scalar(7, DType::f64));
  int calls = 0;
  const auto product = [&](const Variable& p, const Variable& q) {
    return record("product", mul(p.tensor(), q.tensor()),
                  wrt_joint({p, q}, [&, p = save(p), q = save(q)](const Variable& g, const std::array<bool, 2>& needed,
                                                                  const Variable& y) {
                    ++calls;
                    CHECK(needed[0]);
                    CHECK(y.item() == p().item() * q().item());
                    return std::array<Variable, 2>{mul(g, q()), needed[1] ? mul(g, p()) : Variable()};
                  }));
  };
  product(a, b).backward();
  CHECK(gradient_of(a) == Values{5});
  CHECK(gradient_of(b) == Values{2});
  product(a, constant).backward();
  CHECK(gradient_of(a) == Values{12});
  CHECK(calls == 2);
  const auto nothing = record("nothing", a.tensor().clone(), wrt(a, [](const Variable&) { return Variable(); }));
  (nothing + a).backward();
  CHECK(gradient_of(a) == Values{13});
}
