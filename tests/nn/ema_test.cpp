#include "nn/optim/ema.h"

#include <memory>

#include "catch.h"
#include "nn/layers.h"

using namespace sfumato;

namespace {

struct Net : Module {
  Linear linear{1, 2, /*bias=*/false};
  Tensor buffer = full({1}, 4.0);
  void visit(Visitor& v) override { v("linear", linear)("buffer", buffer); }
};

struct Fixture {
  Net net;
  std::unique_ptr<FlatParameters> flat;
  Fixture() {
    initialize(net, 0);
    set(1.0);
    flat = std::make_unique<FlatParameters>(net);
  }
  void set(double value) { net.linear.weight.assign(full({2, 1}, value)); }
  double weight() const { return net.linear.weight->tensor().to_vector()[1]; }
};

}  // namespace

TEST_CASE("ema: starts as a copy and follows with the decay", "[nn]") {
  Fixture f;
  Ema ema(*f.flat, {.decay = 0.75});
  f.set(5.0);
  CHECK(ema.as_state_dict(f.net)[0].second.to_vector()[0] == 1.0);
  ema.update();
  CHECK(ema.as_state_dict(f.net)[0].second.to_vector()[0] == 2.0);  // 1 + 0.25 (5 - 1)
  ema.update();
  CHECK(ema.as_state_dict(f.net)[0].second.to_vector()[0] == 2.75);
  CHECK(ema.update_count() == 2);
  CHECK(f.weight() == 5.0);
  CHECK_THROWS_AS(Ema(*f.flat, {.decay = 1.5}), Error);
}

TEST_CASE("ema: warm-up takes the smaller of the decay and (1 + k) / (10 + k)", "[nn]") {
  Fixture f;
  Ema ema(*f.flat, {.decay = 0.5, .warmup = true});
  CHECK(ema.decay_at(0) == Approx(0.1));
  CHECK(ema.decay_at(1) == Approx(2.0 / 11));
  CHECK(ema.decay_at(1000) == 0.5);
  f.set(11.0);
  ema.update();  // 1 + 0.9 * 10
  CHECK(ema.as_state_dict(f.net)[0].second.to_vector()[0] == Approx(10.0));
  CHECK(Ema(*f.flat, {.decay = 0.5}).decay_at(0) == 0.5);
}

TEST_CASE("ema: the scope swaps the averages in and out without copying", "[nn]") {
  Fixture f;
  Ema ema(*f.flat, {.decay = 0.75});
  f.set(5.0);
  ema.update();
  const Tensor x = full({1, 1}, 1.0);
  {
    const EmaScope scope(ema);
    CHECK(f.weight() == 2.0);
    CHECK(f.net.linear(x).tensor().to_vector()[0] == 2.0);
    CHECK(f.net.linear.weight->tensor().shares_storage_with(ema.values()));
  }
  CHECK(f.weight() == 5.0);
  CHECK(f.net.linear.weight->tensor().shares_storage_with(f.flat->values()));
}

TEST_CASE("ema: the state dict has the averages and the module's buffers", "[nn]") {
  Fixture f;
  Ema ema(*f.flat);
  f.set(3.0);
  const NamedTensors state = ema.as_state_dict(f.net);
  REQUIRE(state.size() == 2);
  CHECK(state[0].first == "linear.weight");
  CHECK(state[0].second.to_vector()[0] == 1.0);
  CHECK(state[1].first == "buffer");
  CHECK(state[1].second.to_vector()[0] == 4.0);
  Linear stranger(1, 2, false);
  initialize(stranger, 0);
  CHECK_THROWS_AS(ema.as_state_dict(stranger), Error);
}

TEST_CASE("ema: a saved state continues, with the count that warm-up needs", "[nn]") {
  Fixture f;
  Ema ema(*f.flat, {.decay = 0.9, .warmup = true}), other(*f.flat, {.decay = 0.9, .warmup = true});
  f.set(2.0);
  ema.update();
  NamedTensors saved;
  for (const auto& [name, tensor] : ema.state()) {
    saved.emplace_back(name, tensor.clone());
  }
  other.load_state(saved);
  f.set(7.0);
  ema.update();
  other.update();
  CHECK(other.update_count() == 2);
  CHECK(other.values().to_vector() == ema.values().to_vector());
  saved.pop_back();
  CHECK_THROWS_AS(other.load_state(saved), Error);
}
