#include "nn/optim/optimizer.h"

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#include "catch.h"
#include "nn/layers.h"
#include "nn/optim/clip.h"
#include "nn/optim/lr_schedule.h"
#include "tensor/backend/backend.h"
#include "tensor/ops/elementwise.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

#ifdef SFUMATO_FAST
#include "tensor/backend/fast/optim_kernels.h"
#endif

using namespace sfumato;

namespace {

constexpr int64_t kChunk = 65536;

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw_data(), b.raw_data(), static_cast<size_t>(a.numel()) * 4) == 0;
}

Tensor random_vector(int64_t n, const std::string& name) { return randn({n}, RandomStream::of("optim_test", name)); }

// Parameters and two moments (the second not negative) after three steps of `update`.
using Update = std::function<void(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, int64_t step)>;
std::array<Tensor, 3> three_steps(const Tensor& start, const std::array<Tensor, 3>& gradients, const Update& update) {
  std::array<Tensor, 3> s{start.clone(), zeros_like(start), zeros_like(start)};
  for (int64_t step = 1; step <= 3; ++step) {
    update(s[0], gradients[static_cast<size_t>(step - 1)], s[1], s[2], step);
  }
  return s;
}

const std::vector<std::pair<const char*, Update>>& updates() {
  static const std::vector<std::pair<const char*, Update>> all{
      {"sgd", [](Tensor& p, const Tensor& g, Tensor& m, Tensor&,
                 int64_t step) { sgd_(p, g, m, {.lr = 0.1, .weight_decay = 0.01, .grad_scale = 0.7, .step = step}); }},
      {"sgd, momentum",
       [](Tensor& p, const Tensor& g, Tensor& m, Tensor&, int64_t step) {
         sgd_(p, g, m, {.lr = 0.1, .momentum = 0.9, .grad_scale = 0.7, .step = step});
       }},
      {"sgd, Nesterov",
       [](Tensor& p, const Tensor& g, Tensor& m, Tensor&, int64_t step) {
         sgd_(p, g, m, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true, .step = step});
       }},
      {"adam",
       [](Tensor& p, const Tensor& g, Tensor& m, Tensor& v, int64_t step) {
         adam_(p, g, m, v, {.lr = 0.01, .weight_decay = 0.1, .grad_scale = 0.7, .step = step});
       }},
      {"adamw",
       [](Tensor& p, const Tensor& g, Tensor& m, Tensor& v, int64_t step) {
         adam_(p, g, m, v, {.lr = 0.01, .weight_decay = 0.1, .grad_scale = 0.7, .decoupled = true, .step = step});
       }},
      {"lerp, add, scale", [](Tensor& p, const Tensor& g, Tensor& m, Tensor& v, int64_t) {
         lerp_(p, g, 0.3);
         add_(m, p);
         add_(v, g);
         scale_(v, 0.7);
       }}};
  return all;
}

// The textbook's Adam in f64, one element.
struct Reference {
  double p, m = 0, v = 0;
  void adam(double g, const AdamOptions& o) {
    g *= o.grad_scale;
    if (o.decoupled) {
      p -= o.lr * o.weight_decay * p;
    } else {
      g += o.weight_decay * p;
    }
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(o.beta1, o.step)), v_hat = v / (1 - std::pow(o.beta2, o.step));
    p -= o.lr * m_hat / (std::sqrt(v_hat) + o.eps);
  }
};

struct ThreadsScope {
  int before = num_threads();
  explicit ThreadsScope(int n) { set_num_threads(n); }
  ~ThreadsScope() { set_num_threads(before); }
};

struct TwoLinears : Module {
  Linear a{3, 5}, b{5, 1}, unused{2, 2};
  void visit(Visitor& v) override { v("a", a)("b", b)("unused", unused); }
  Variable loss(const Tensor& x) const { return mean(square(b(silu(a(x))))); }
};

NamedTensors copies(const NamedTensors& tensors) {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors) {
    out.emplace_back(name, tensor.clone());
  }
  return out;
}

}  // namespace

TEST_CASE("optim ops: the vector kernels give the plain loops' bits, tails included", "[nn][optim]") {
  for (const int64_t n : {int64_t{1}, int64_t{37}, kChunk + 5}) {
    const Tensor start = random_vector(n, "p");
    const std::array<Tensor, 3> gradients{random_vector(n, "g1"), random_vector(n, "g2"), random_vector(n, "g3")};
    for (const auto& [name, update] : updates()) {
      INFO(name << ", n " << n);
      std::array<Tensor, 3> plain;
      {
        const BackendScope scope(Backend::reference);
        plain = three_steps(start, gradients, update);
      }
      const std::array<Tensor, 3> fast = three_steps(start, gradients, update);
      for (size_t i = 0; i < 3; ++i) {
        CHECK(same_bits(plain[i], fast[i]));
      }
    }
  }
}

TEST_CASE("optim ops: Adam and AdamW follow the papers' formulas", "[nn][optim]") {
  for (const bool decoupled : {false, true}) {
    const int64_t n = 50;
    Tensor p = random_vector(n, "p"), m = zeros({n}), v = zeros({n});
    std::vector<Reference> wanted;
    for (const double value : p.to_vector()) {
      wanted.push_back({value});
    }
    for (int64_t step = 1; step <= 20; ++step) {
      const AdamOptions o{.lr = 0.02,
                          .beta1 = 0.8,
                          .beta2 = 0.95,
                          .eps = 1e-3,
                          .weight_decay = 0.1,
                          .grad_scale = 0.5,
                          .decoupled = decoupled,
                          .step = step};
      const Tensor g = random_vector(n, "g" + std::to_string(step));
      adam_(p, g, m, v, o);
      const auto gradients = g.to_vector();
      for (size_t i = 0; i < wanted.size(); ++i) {
        wanted[i].adam(gradients[i], o);
      }
    }
    const auto got = p.to_vector();
    for (size_t i = 0; i < wanted.size(); ++i) {
      CHECK(got[i] == Approx(wanted[i].p).epsilon(2e-5).margin(2e-6));
    }
  }
}

TEST_CASE("optim ops: arguments are checked", "[nn][optim]") {
  Tensor p = zeros({4}), g = zeros({4}), m = zeros({4}), v = zeros({4}), shorter = zeros({3}),
         f64 = zeros({4}, DType::f64);
  Tensor none;
  CHECK_THROWS_AS(adam_(p, shorter, m, v, {}), Error);
  CHECK_THROWS_AS(adam_(p, f64, m, v, {}), Error);
  CHECK_THROWS_AS(adam_(p, g, m, none, {}), Error);
  CHECK_THROWS_AS(adam_(p, g, m, v, {.step = 0}), Error);
  CHECK_THROWS_AS(sgd_(p, g, none, {.momentum = 0.9}), Error);
  CHECK_THROWS_AS(sgd_(p, g, m, {.nesterov = true}), Error);
  CHECK_NOTHROW(sgd_(p, g, none, {}));
  CHECK_THROWS_AS(add_(p, shorter), Error);
}

TEST_CASE("optim ops: writing is seen by the modification counter", "[nn][optim]") {
  Tensor p = zeros({4}), m = zeros({4}), v = zeros({4});
  const uint64_t before = p.version();
  adam_(p, full({4}, 1.0), m, v, {});
  CHECK(p.version() > before);
}

TEST_CASE("sum_of_squares: every element once, the same bits for any threads and backend", "[nn][optim]") {
  for (const int64_t n : {int64_t{0}, int64_t{1}, int64_t{31}, kChunk, 5 * kChunk + 17}) {
    INFO("n " << n);
    CHECK(sum_of_squares(full({n}, 1.0)) == static_cast<double>(n));
    const Tensor x = random_vector(n, "x");
    double running = 0;
    for (const double value : x.to_vector()) {
      running += value * value;
    }
    const double wanted = sum_of_squares(x);
    CHECK(wanted == Approx(running).epsilon(1e-12));
    for (const int threads : {1, 3}) {
      const ThreadsScope scope(threads);
      CHECK(sum_of_squares(x) == wanted);
    }
    const BackendScope scope(Backend::reference);
    CHECK(sum_of_squares(x) == wanted);
  }
}

#ifdef SFUMATO_FAST
TEST_CASE("optim kernels: all instruction sets give the same bits", "[nn][optim]") {
  const int64_t n = 1003;
  const AdamConstants c{0.5f, 0.01f, 1.0f, 0.1f, 0.999f, 0.001f, 0.3f, 1e-8f, 0.02f};
  const Tensor g = random_vector(n, "g");
  const auto run = [&](decltype(&fast::baseline::adam) adam, decltype(&fast::baseline::sum_of_squares) squares) {
    Tensor p = random_vector(n, "p"), m = random_vector(n, "m"), v = square(random_vector(n, "v"));
    adam(p.mutable_data<float>(), g.data<float>(), m.mutable_data<float>(), v.mutable_data<float>(), n, c);
    return std::pair(p, squares(p.data<float>(), n));
  };
  const auto baseline = run(fast::baseline::adam, fast::baseline::sum_of_squares);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    const auto other = run(fast::avx2::adam, fast::avx2::sum_of_squares);
    CHECK(same_bits(other.first, baseline.first));
    CHECK(other.second == baseline.second);
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw")) {
    const auto other = run(fast::avx512::adam, fast::avx512::sum_of_squares);
    CHECK(same_bits(other.first, baseline.first));
    CHECK(other.second == baseline.second);
  }
}
#endif

TEST_CASE("flat parameters: views of one aligned buffer, values kept, gaps zero", "[nn][optim]") {
  TwoLinears net;
  initialize(net, 0);
  const NamedTensors before = copies(net.state_dict());
  FlatParameters flat(net);
  CHECK(flat.num_parameters() == 15 + 5 + 5 + 1 + 4 + 2);
  CHECK(flat.size() == 6 * 16);
  for (size_t i = 0; i < before.size(); ++i) {
    const Tensor tensor = net.state_dict()[i].second;
    CHECK(tensor.shares_storage_with(flat.values()));
    CHECK(same_bits(tensor, before[i].second));
    CHECK(flat.slots()[i].name == before[i].first);
    CHECK(tensor.storage_offset() == flat.slots()[i].offset);
    CHECK(flat.slots()[i].offset % 16 == 0);
  }
  CHECK(flat.values().data<float>()[15] == 0.0f);
  TwoLinears moved = std::move(net);  // the handles survive
  flat.values().fill(0);
  CHECK(moved.a.weight->tensor().to_vector()[0] == 0);
}

TEST_CASE("flat parameters: only f32 that has values", "[nn][optim]") {
  TwoLinears net;
  CHECK_THROWS_AS(FlatParameters(net), Error);
  initialize(net, 0);
  net.to(DType::f64);
  CHECK_THROWS_AS(FlatParameters(net), Error);
}

TEST_CASE("flat parameters: gradients arrive in the flat buffer; what no pass reached is zero", "[nn][optim]") {
  TwoLinears net, twin;
  initialize(net, 0);
  initialize(twin, 0);
  FlatParameters flat(net);
  const Tensor x = randn({4, 3}, "optim_test");
  twin.loss(x).backward();
  Tensor buffer = flat.zeros();
  buffer.fill(99);  // as a buffer that is used again
  for (int pass = 0; pass < 2; ++pass) {
    flat.begin_gradients(buffer);
    net.loss(x).backward();
    const NamedTensors gradients = flat.views(flat.gradients());
    CHECK(flat.gradients().shares_storage_with(buffer));
    const auto wanted = twin.named_parameters();
    for (size_t i = 0; i < wanted.size(); ++i) {
      INFO(wanted[i].name);
      const Variable& gradient = wanted[i].variable.grad();
      CHECK(same_bits(gradients[i].second, gradient.defined() ? gradient.tensor() : zeros(wanted[i].variable.shape())));
    }
  }
}

TEST_CASE("optimizer: training with each one lowers the loss", "[nn][optim]") {
  for (const char* name : {"sgd", "adam", "adamw"}) {
    INFO(name);
    TwoLinears net;
    initialize(net, 0);
    FlatParameters flat(net);
    const auto optimizer = make_optimizer(flat, {.name = name, .lr = 0.05, .momentum = 0.9, .nesterov = true});
    const Tensor x = randn({16, 3}, "optim_test");
    const double before = net.loss(x).item();
    for (int i = 0; i < 50; ++i) {
      flat.zero_grad();
      net.loss(x).backward();
      optimizer->step();
    }
    CHECK(optimizer->step_count() == 50);
    CHECK(net.loss(x).item() < 0.1 * before);
  }
  TwoLinears net;
  initialize(net, 0);
  FlatParameters flat(net);
  CHECK_THROWS_AS(make_optimizer(flat, {.name = "adagrad"}), Error);
}

TEST_CASE("optimizer: a saved state continues with the same bits", "[nn][optim]") {
  for (const char* name : {"sgd", "adam"}) {
    INFO(name);
    const OptimizerOptions options{.name = name, .momentum = 0.9};
    TwoLinears net, other;
    initialize(net, 0);
    FlatParameters flat(net);
    const auto optimizer = make_optimizer(flat, options);
    const auto step = [](Optimizer& o, const FlatParameters& f, int i) {
      o.step(random_vector(f.size(), "g" + std::to_string(i)), 0.01);
    };
    for (int i = 0; i < 3; ++i) {
      step(*optimizer, flat, i);
    }
    other.load_state_dict(net.state_dict());
    FlatParameters other_flat(other);
    const auto other_optimizer = make_optimizer(other_flat, options);
    other_optimizer->load_state(copies(optimizer->state()));
    CHECK(other_optimizer->step_count() == 3);
    for (int i = 3; i < 5; ++i) {
      step(*optimizer, flat, i);
      step(*other_optimizer, other_flat, i);
    }
    const NamedTensors a = net.state_dict(), b = other.state_dict();
    for (size_t i = 0; i < a.size(); ++i) {
      CHECK(same_bits(a[i].second, b[i].second));
    }
  }
}

TEST_CASE("optimizer: a state that does not fit is refused whole", "[nn][optim]") {
  TwoLinears net;
  initialize(net, 0);
  FlatParameters flat(net);
  Adam adam(flat);
  adam.step(random_vector(flat.size(), "g"), 0.01);
  NamedTensors state = copies(adam.state());
  REQUIRE(state[0].first == "step");
  REQUIRE(state[1].first == "exp_avg.a.weight");
  state[7].first = "exp_avg_sq.a.wait";  // the second moment's first entry: the first moment would have fitted
  state[1].second.fill(5);
  try {
    adam.load_state(state, "checkpoint");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), ContainsSubstring("checkpoint") && ContainsSubstring("unexpected: a.wait") &&
                                 ContainsSubstring("missing: a.weight"));
  }
  CHECK(adam.state()[1].second.to_vector()[0] != 5);
  state = copies(adam.state());
  state.erase(state.begin());
  CHECK_THROWS_AS(adam.load_state(state), Error);
  Sgd sgd(flat);
  CHECK_THROWS_AS(sgd.load_state(adam.state()), Error);
}

TEST_CASE("clipping: PyTorch's coefficient, and scaling while stepping is scaling before", "[nn][optim]") {
  CHECK(clip_coefficient(0.5, 1.0) == 1.0);
  CHECK(clip_coefficient(4.0, 1.0) == Approx(0.25).epsilon(1e-6));
  CHECK(clip_coefficient(4.0, 1.0) < 0.25);  // the 1e-6 is there
  CHECK(std::isnan(clip_coefficient(NAN, 1.0)));
  CHECK(gradient_norm(full({16}, -2.0)) == 8.0);
  const int64_t n = 100;
  const Tensor g = random_vector(n, "g");
  Tensor scaled = g.clone(), p = zeros({n}), q = zeros({n}), m = zeros({n}), v = zeros({n}), k = zeros({n}),
         w = zeros({n});
  scale_(scaled, 0.3);
  adam_(p, g, m, v, {.grad_scale = 0.3});
  adam_(q, scaled, k, w, {});
  CHECK(same_bits(p, q));
  CHECK(same_bits(v, w));
}

TEST_CASE("learning rate: warm-up, constant and cosine", "[nn][optim]") {
  const LrSchedule warm{.lr = 2.0, .warmup_steps = 4};
  CHECK(learning_rate(warm, 1) == 0.5);
  CHECK(learning_rate(warm, 4) == 2.0);
  CHECK(learning_rate(warm, 1000) == 2.0);
  CHECK(learning_rate({.lr = 2.0}, 1) == 2.0);
  const LrSchedule cosine{.lr = 1.0, .warmup_steps = 10, .decay = LrDecay::cosine, .total_steps = 110, .floor = 0.1};
  CHECK(learning_rate(cosine, 5) == 0.5);
  CHECK(learning_rate(cosine, 10) == 1.0);
  CHECK(learning_rate(cosine, 60) == Approx(0.55));
  CHECK(learning_rate(cosine, 35) == Approx(0.1 + 0.9 * (1 + std::sqrt(0.5)) / 2));
  CHECK(learning_rate(cosine, 110) == 0.1);
  CHECK(learning_rate(cosine, 500) == 0.1);
  CHECK_THROWS_AS(learning_rate(warm, 0), Error);
  CHECK_THROWS_AS(learning_rate({.decay = LrDecay::cosine}, 1), Error);
}
