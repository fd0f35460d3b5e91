// How far the engine goes: long and wide graphs, passes within passes, exceptions in the middle, threads; and that
// nothing stays behind.
#include <new>
#include <stdexcept>
#include <thread>

#include "autograd/record.h"
#include "catch.h"
#include "nn/init.h"
#include "nn/layers.h"
#include "tensor/allocator.h"

using namespace sfumato;

namespace {

size_t live() { return allocator_stats().live_bytes; }

struct MemoryCap {
  explicit MemoryCap(size_t bytes) { set_memory_cap(bytes); }
  ~MemoryCap() { set_memory_cap(0); }
};

// x, with a rule that runs `inside` before it hands the gradient on.
Variable with_rule(const Variable& x, const std::function<void()>& inside) {
  return record("with_rule", x.tensor(), wrt(x, [inside](const Variable& g) {
                  inside();
                  return g;
                }));
}

// A backward pass that `fail` breaks: nothing is left of its graph, and the next pass is right.
void check_recovery(const std::function<void(const Variable& x)>& fail) {
  Variable x(full({1 << 12}, 0.5), true);
  const size_t before = live();
  fail(x);
  CHECK(live() == before);
  CHECK(grad_enabled());
  CHECK_FALSE(x.grad().defined());
  sum(x * 3.0).backward();
  CHECK(x.grad().tensor().to_vector()[7] == 3);
}

}  // namespace

TEST_CASE("engine limits: a chain of a million ops is walked and freed", "[autograd]") {
  Variable x(full({}, 1), true);
  const size_t before = live();
  {
    Variable y = x;
    for (int i = 0; i < 1000000; ++i) {
      y = y + x;
    }
    y.backward();
    CHECK(x.grad().item() == 1000001);
    y = Variable();
  }
  x.zero_grad();
  CHECK(live() == before);
  {
    Variable y = x;  // and freed without a pass
    for (int i = 0; i < 1000000; ++i) {
      y = neg(y);
    }
  }
  CHECK(live() == before);
}

TEST_CASE("engine limits: a leaf with 100,000 uses, and an op with 10,000 inputs", "[autograd]") {
  const Variable x(full({1}, 1, DType::f64), true);
  std::vector<Variable> parts;
  for (int i = 0; i < 10000; ++i) {
    parts.push_back(x * static_cast<double>(i));
  }
  sum(cat(parts, 0)).backward();
  CHECK(x.grad().item() == 9999.0 * 10000 / 2);
  Variable(x).zero_grad();
  std::vector<Variable> same(100000, x);
  sum(cat(same, 0)).backward();
  CHECK(x.grad().item() == 100000);
}

TEST_CASE("engine limits: a rule may run a backward pass, even over a part of what it belongs to", "[autograd]") {
  const Variable x(full({}, 3, DType::f64), true), other(full({}, 2, DType::f64), true);
  double inner = 0;
  const Variable shared = x * x;
  const Variable y = with_rule(shared * 1.0, [&] {
    inner = grad(shared, std::vector{x}, {}, {.retain_graph = true})[0].item();
    const GradModeGuard on(true);
    (other * other).backward();
  });
  y.backward();
  CHECK(inner == 6);
  CHECK(x.grad().item() == 6);
  CHECK(other.grad().item() == 4);
}

TEST_CASE("engine limits: exceptions of rules, hooks and allocations leave nothing behind", "[autograd]") {
  check_recovery([](const Variable& x) {
    const Variable y = with_rule(exp(x), [] { throw std::runtime_error("rule"); });
    CHECK_THROWS_WITH(sum(exp(y) * y).backward(), ContainsSubstring("rule"));
  });
  check_recovery([](const Variable& x) {
    Variable y = exp(x);
    y.register_hook([](const Variable&) -> Variable { throw std::runtime_error("hook"); });
    CHECK_THROWS_WITH(sum(exp(y) * y).backward(), ContainsSubstring("hook"));
  });
  // The memory runs out ever later in the pass, until it suffices.
  int failures = 0;
  bool succeeded = false;
  for (size_t spare = 0; spare < 20 && !succeeded; ++spare) {
    Variable x(full({1 << 12}, 0.5), true);
    const size_t before = live();
    {
      const Variable loss = sum(tanh(exp(tanh(exp(x)))) * x);
      const MemoryCap cap(live() + spare * (1u << 13));
      try {
        loss.backward();
        succeeded = true;
      } catch (const std::bad_alloc&) {
        ++failures;
      }
    }
    x.zero_grad();
    CHECK(live() == before);
    CHECK(grad_enabled());
  }
  CHECK(succeeded);
  CHECK(failures >= 2);
}

TEST_CASE("engine limits: a hundred training steps take no memory that ten do not", "[autograd]") {
  struct Net : Module {
    Linear in{8, 32}, out{32, 1};
    void visit(Visitor& v) override { v("in", in)("out", out); }
    Variable operator()(const Variable& x) const { return out(silu(in(x))); }
  };
  Net net;
  initialize(net, 1);
  const Tensor x = full({4, 8}, 0.5);
  size_t after_ten = 0;
  for (int step = 0; step < 100; ++step) {
    net.zero_grad();
    mean(square(net(x))).backward();
    for (Variable& parameter : net.parameters()) {
      Tensor values = parameter.tensor();
      values.copy_from(sub(values, mul(parameter.grad().tensor(), 0.01)));
    }
    if (step == 9) {
      after_ten = live();
    }
  }
  CHECK(live() == after_ten);
}

TEST_CASE("engine limits: threads with graphs of their own, sharing what needs no gradient", "[autograd]") {
  const Variable shared(full({64}, 0.5, DType::f64));
  const auto work = [&shared](double scale) {
    double total = 0;
    for (int i = 0; i < 200; ++i) {
      Variable x(full({64}, scale, DType::f64), true);
      sum(x * x * shared).backward();
      total += sum(x.grad().tensor()).item();
    }
    return total;
  };
  double totals[2] = {};
  std::thread first([&] { totals[0] = work(1); });
  std::thread second([&] { totals[1] = work(2); });
  first.join();
  second.join();
  CHECK(totals[0] == 200 * 64 * 1.0);
  CHECK(totals[1] == 200 * 64 * 2.0);
}
