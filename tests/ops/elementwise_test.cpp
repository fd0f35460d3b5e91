// The fast elementwise kernels against the reference in f64, element by element, on every instruction set that this CPU
// has; strides, tails and special values; and that no bit depends on the number of threads.
#include "tensor/ops/elementwise.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "catch.h"
#include "tensor/backend/backend.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

#ifdef SFUMATO_FAST
#include "tensor/backend/fast/elementwise_kernels.h"
#include "tensor/backend/fast/isa.h"
#endif

using namespace sfumato;

namespace {

struct Unary {
  const char* name;
  UnaryOp op;
  UnaryArgs args;
  double low, high;  // where it is compared
  double atol = 0;   // where the result cancels: of inputs of order 1
};

// Relative errors are bounded by a few roundings; vector_math.h promises 2.5 ulp at worst.
constexpr double kRelative = 5e-7;

const std::vector<Unary>& unary_ops() {
  static const std::vector<Unary> ops{
      {"abs", UnaryOp::abs, {}, -5, 5},
      {"affine", UnaryOp::affine, {1.7, -0.3}, -5, 5, 1e-6},
      {"ceil", UnaryOp::ceil, {}, -5, 5},
      {"clamp", UnaryOp::clamp, {-0.5, 0.75}, -2, 2},
      {"cos", UnaryOp::cos, {}, -10, 10, 1e-7},
      {"erf", UnaryOp::erf, {}, -5, 5},
      {"exp", UnaryOp::exp, {}, -87, 88},
      {"expm1", UnaryOp::expm1, {}, -20, 80},
      {"floor", UnaryOp::floor, {}, -5, 5},
      {"gelu", UnaryOp::gelu, {}, -6, 6, 2e-7},
      {"gelu_tanh", UnaryOp::gelu_tanh, {}, -6, 6, 2e-7},
      {"leaky_relu", UnaryOp::leaky_relu, {0.25, 0}, -5, 5},
      {"log", UnaryOp::log, {}, 1e-30, 100, 1e-7},
      {"log1p", UnaryOp::log1p, {}, -0.99, 100},
      {"neg", UnaryOp::neg, {}, -5, 5},
      {"pow 3", UnaryOp::pow, {3, 0}, -5, 5},
      {"pow -1.5", UnaryOp::pow, {-1.5, 0}, 0.01, 5},
      {"reciprocal", UnaryOp::reciprocal, {}, -5, 5},
      {"relu", UnaryOp::relu, {}, -5, 5},
      {"round", UnaryOp::round, {}, -5, 5},
      {"rsqrt", UnaryOp::rsqrt, {}, 0.001, 50},
      {"sigmoid", UnaryOp::sigmoid, {}, -80, 80},
      {"sign", UnaryOp::sign, {}, -5, 5},
      {"silu", UnaryOp::silu, {}, -80, 80},
      {"sin", UnaryOp::sin, {}, -10, 10, 1e-7},
      {"softplus", UnaryOp::softplus, {}, -80, 80},
      {"sqrt", UnaryOp::sqrt, {}, 0, 50},
      {"square", UnaryOp::square, {}, -5, 5},
      {"tanh", UnaryOp::tanh, {}, -10, 10},
  };
  return ops;
}

struct Binary {
  const char* name;
  BinaryOp op;
  double atol = 0;
};

const std::vector<Binary>& binary_ops() {
  static const std::vector<Binary> ops{
      {"add", BinaryOp::add, 5e-7},
      {"sub", BinaryOp::sub, 5e-7},
      {"mul", BinaryOp::mul},
      {"div", BinaryOp::div},
      {"maximum", BinaryOp::maximum},
      {"minimum", BinaryOp::minimum},
      {"silu_backward", BinaryOp::silu_backward, 2e-6},
  };
  return ops;
}

Tensor uniform(const Shape& shape, double low, double high, std::string_view purpose) {
  return affine(rand(shape, purpose), high - low, low);
}

// Every value agrees with the reference in f64: within rounding where finite, else the same infinity, or NaN for NaN.
void check_close(const Tensor& ours, const Tensor& exact, double atol) {
  REQUIRE(ours.shape() == exact.shape());
  const auto a = ours.to_vector(), b = exact.to_vector();
  size_t wrong = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool same = a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]));
    const bool close = std::abs(a[i] - b[i]) <= kRelative * std::abs(b[i]) + atol;
    if (!same && !close && ++wrong <= 3) FAIL_CHECK("entry " << i << " is " << a[i] << ", exactly " << b[i]);
  }
  CHECK(wrong == 0);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.shape() == y.shape() && x.dtype() == y.dtype() &&
         std::memcmp(x.raw_data(), y.raw_data(), static_cast<size_t>(x.numel()) * size_of(x.dtype())) == 0;
}

Tensor reference_of(const Unary& op, const Tensor& x) {
  const Tensor wide = x.to(DType::f64);
  Tensor out = empty_like(wide);
  // The constants as the f32 kernel has them.
  const UnaryArgs args{static_cast<float>(op.args.a), static_cast<float>(op.args.b)};
  reference::unary(op.op, args, wide, out);
  return out;
}

Tensor reference_of(const Binary& op, const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty(broadcast_shapes(op.name, a.shape(), b.shape()), DType::f64);
  reference::binary(op.op, a.to(DType::f64), b.to(DType::f64), out);
  return out;
}

}  // namespace

#ifdef SFUMATO_FAST

namespace {

// Lengths around every vector width, primes, and nothing at all.
const std::vector<int64_t> kLengths{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 257};

struct IsaKernels {
  fast::Isa isa;
  decltype(&fast::baseline::unary_run) unary;
  decltype(&fast::baseline::binary_run) binary;
};

std::vector<IsaKernels> isa_kernels() {
  std::vector<IsaKernels> all{{fast::Isa::baseline, &fast::baseline::unary_run, &fast::baseline::binary_run}};
  if (fast::isa() >= fast::Isa::avx2) all.push_back({fast::Isa::avx2, &fast::avx2::unary_run, &fast::avx2::binary_run});
  if (fast::isa() >= fast::Isa::avx512) {
    all.push_back({fast::Isa::avx512, &fast::avx512::unary_run, &fast::avx512::binary_run});
  }
  return all;
}

Tensor fast_of(const Unary& op, const Tensor& x) {
  Tensor out = empty_like(x);
  fast::unary(op.op, op.args, x, out);
  return out;
}

Tensor fast_of(const Binary& op, const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty(broadcast_shapes(op.name, a.shape(), b.shape()));
  fast::binary(op.op, a, b, out);
  return out;
}

}  // namespace

TEST_CASE("elementwise: unary kernels of every instruction set agree with the reference", "[tensor][elementwise]") {
  for (const auto& kernels : isa_kernels()) {
    for (const Unary& op : unary_ops()) {
      for (const int64_t n : kLengths) {
        CAPTURE(fast::name_of(kernels.isa), op.name, n);
        const Tensor x = uniform({n}, op.low, op.high, op.name);
        Tensor out = empty({n});
        kernels.unary(op.op, static_cast<float>(op.args.a), static_cast<float>(op.args.b), x.data<float>(), 1,
                      out.mutable_data<float>(), n);
        check_close(out, reference_of(op, x), op.atol);
      }
    }
  }
}

TEST_CASE("elementwise: binary kernels of every instruction set agree with the reference", "[tensor][elementwise]") {
  for (const auto& kernels : isa_kernels()) {
    for (const Binary& op : binary_ops()) {
      for (const int64_t n : kLengths) {
        CAPTURE(fast::name_of(kernels.isa), op.name, n);
        const Tensor a = uniform({n}, -5, 5, "a"), b = uniform({n}, -5, 5, "b");
        Tensor out = empty({n});
        kernels.binary(op.op, a.data<float>(), 1, b.data<float>(), 1, out.mutable_data<float>(), n);
        check_close(out, reference_of(op, a, b), op.atol);
      }
    }
  }
}

TEST_CASE("elementwise: kernels write nothing behind their end", "[tensor][elementwise]") {
  for (const auto& kernels : isa_kernels()) {
    for (const int64_t n : kLengths) {
      CAPTURE(fast::name_of(kernels.isa), n);
      const Tensor x = full({n + 64}, 0.5);
      Tensor out = full({n + 64}, -7);
      kernels.unary(UnaryOp::silu, 0, 0, x.data<float>(), 1, out.mutable_data<float>(), n);
      kernels.binary(BinaryOp::mul, x.data<float>(), 1, x.data<float>(), 1, out.mutable_data<float>(), n);
      CHECK(same_bits(narrow(out, 0, n, 64), full({64}, -7)));
    }
  }
}

TEST_CASE("elementwise: an element's bits do not depend on its place in a run", "[tensor][elementwise]") {
  // The vector body, the tail, a strided gather and a broadcast must all compute the same function.
  const int64_t n = 77;
  for (const auto& kernels : isa_kernels()) {
    for (const Unary& op : unary_ops()) {
      CAPTURE(fast::name_of(kernels.isa), op.name);
      const Tensor x = uniform({n}, op.low, op.high, "place");
      const Tensor spread = uniform({n, 3}, op.low, op.high, "spread");
      Tensor(select(spread, 1, 0)).copy_from(x);
      Tensor whole = empty({n}), strided = empty({n}), alone = empty({n}), repeated = empty({n});
      const float a = static_cast<float>(op.args.a), b = static_cast<float>(op.args.b);
      kernels.unary(op.op, a, b, x.data<float>(), 1, whole.mutable_data<float>(), n);
      kernels.unary(op.op, a, b, spread.data<float>(), 3, strided.mutable_data<float>(), n);
      for (int64_t i = 0; i < n; ++i) {
        kernels.unary(op.op, a, b, x.data<float>() + i, 1, alone.mutable_data<float>() + i, 1);
      }
      kernels.unary(op.op, a, b, x.data<float>() + 5, 0, repeated.mutable_data<float>(), n);
      CHECK(same_bits(whole, strided));
      CHECK(same_bits(whole, alone));
      CHECK(same_bits(repeated, expand(narrow(whole, 0, 5, 1), {n})));
    }
  }
}

TEST_CASE("elementwise: special values are treated as the reference treats them", "[tensor][elementwise]") {
  const double inf = INFINITY, nan = std::nan("");
  const Tensor x =
      tensor_of({inf, -inf, nan,   0.0,    -0.0, 1e30, -1e30, 3e38, -3e38, 88.9, -88.9, 104,      -104,
                 709, -709, 1e-30, -1e-30, 0.5,  -0.5, 1.5,   2.5,  -2.5,  1,    -1,    16777217, 8388609.5},
                {26});
  for (const Unary& op : unary_ops()) {
    if (std::string_view(op.name) == "sin" || std::string_view(op.name) == "cos") continue;  // checked below
    CAPTURE(op.name);
    // The exact value, rounded to f32: what overflows there is an infinity here.
    const Tensor exact = reference_of(op, x).to(DType::f32);
    // expm1, tanh, ... of 1e-30 are exact; products that leave the normal range may be flushed to zero.
    check_close(fast_of(op, x), exact, std::max(op.atol, 1e-36));
  }
  CHECK(std::isnan(sin(full({1}, inf)).item()));
  CHECK(std::isnan(cos(full({1}, nan)).item()));
}

TEST_CASE("elementwise: NaN and infinity pass through binary ops as in the reference", "[tensor][elementwise]") {
  const double inf = INFINITY, nan = std::nan("");
  const Tensor values = tensor_of({inf, -inf, nan, 0, 1, -1, 3e38, 1e-30}, {8});
  for (const Binary& op : binary_ops()) {
    if (op.op == BinaryOp::silu_backward) continue;  // at infinity its formula is 0 * inf, in any order of operations
    CAPTURE(op.name);
    const Tensor a = unsqueeze(values, 1);
    check_close(fast_of(op, a, values), reference_of(op, a, values).to(DType::f32), 1e-36);
  }
  CHECK(std::isfinite(silu_backward(ones({1}), full({1}, 80)).item()));
  CHECK(std::isfinite(silu_backward(ones({1}), full({1}, -200)).item()));
}

TEST_CASE("elementwise: views and broadcast operands", "[tensor][elementwise]") {
  const Tensor base = uniform({6, 5, 7}, -2, 2, "base");
  const std::vector<Tensor> left{base, transpose(base, 0, 2), slice(base, 2, 1, 6, 2), uniform({6, 1, 7}, -2, 2, "row"),
                                 expand(uniform({5, 1}, -2, 2, "column"), {6, 5, 7})};
  for (const Tensor& a : left) {
    CAPTURE(to_string(a.shape()), to_string(a.strides()));
    for (const Unary& op : {unary_ops()[0], Unary{"silu", UnaryOp::silu, {}, 0, 0}}) {
      check_close(fast_of(op, a), reference_of(op, a), 0);
    }
    for (const Tensor& b : {scalar(1.5), uniform({a.size(-1)}, -2, 2, "last"), uniform({a.size(1), 1}, -2, 2, "middle"),
                            uniform({2, 1, 1, 1}, -2, 2, "new")}) {
      for (const Binary& op : binary_ops()) check_close(fast_of(op, a, b), reference_of(op, a, b), op.atol);
      for (const Binary& op : binary_ops()) check_close(fast_of(op, b, a), reference_of(op, b, a), op.atol);
    }
  }
}

TEST_CASE("elementwise: the same bits on one thread and on several", "[tensor][elementwise]") {
  const int before = num_threads();
  const int64_t n = 140009;  // a prime, well above every grain, so that cuts fall inside vectors
  const auto on = [](int threads, auto&& f) {
    set_num_threads(threads);
    return f();
  };
  for (const Unary& op : unary_ops()) {
    CAPTURE(op.name);
    const Tensor x = uniform({n}, op.low, op.high, "threads");
    const auto run = [&] { return fast_of(op, x); };
    CHECK(same_bits(on(1, run), on(2, run)));
  }
  const Tensor a = uniform({373, 1, 379}, -2, 2, "a"), b = uniform({2, 1}, -2, 2, "b");
  for (const Binary& op : binary_ops()) {
    CAPTURE(op.name);
    const auto run = [&] { return fast_of(op, a, b); };
    CHECK(same_bits(on(1, run), on(3, run)));
  }
  set_num_threads(before);
}

#endif  // SFUMATO_FAST

TEST_CASE("elementwise: every function computes what its name says, on both backends", "[tensor][elementwise]") {
  struct Row {
    const char* name;
    Tensor (*f)(const Tensor&);
    double (*exact)(double);
    double at;
  };
  const std::vector<Row> rows{
      {"abs", abs, [](double x) { return std::abs(x); }, -1.25},
      {"neg", neg, [](double x) { return -x; }, 1.25},
      {"exp", exp, [](double x) { return std::exp(x); }, 1.25},
      {"expm1", expm1, [](double x) { return std::expm1(x); }, 0.01},
      {"log", log, [](double x) { return std::log(x); }, 3},
      {"log1p", log1p, [](double x) { return std::log1p(x); }, 0.01},
      {"sqrt", sqrt, [](double x) { return std::sqrt(x); }, 2},
      {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 2},
      {"square", square, [](double x) { return x * x; }, -3},
      {"reciprocal", reciprocal, [](double x) { return 1 / x; }, -3},
      {"sin", sin, [](double x) { return std::sin(x); }, 2},
      {"cos", cos, [](double x) { return std::cos(x); }, 2},
      {"tanh", tanh, [](double x) { return std::tanh(x); }, 0.3},
      {"erf", erf, [](double x) { return std::erf(x); }, 0.3},
      {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 0.3},
      {"softplus", softplus, [](double x) { return std::log(1 + std::exp(x)); }, 0.3},
      {"relu", relu, [](double) { return 0.0; }, -0.3},
      {"silu", silu, [](double x) { return x / (1 + std::exp(-x)); }, -0.3},
      {"sign", sign, [](double) { return -1.0; }, -0.3},
      {"floor", floor, [](double) { return -1.0; }, -0.3},
      {"ceil", ceil, [](double) { return 1.0; }, 0.3},
      {"round", round, [](double) { return 2.0; }, 2.5},
  };
  for (const Backend side : {Backend::reference, Backend::fast}) {
    if (side == Backend::fast && !fast_backend_available()) continue;
    BackendScope scope(side);
    for (const Row& row : rows) {
      CAPTURE(row.name, static_cast<int>(side));
      for (const DType dtype : {DType::f32, DType::f64}) {
        const double tolerance = dtype == DType::f64 ? 1e-14 : 1e-6;
        CHECK(row.f(full({3}, row.at, dtype)).to_vector()[2] ==
              Approx(row.exact(full({1}, row.at, dtype).item())).epsilon(tolerance));
      }
    }
    const Tensor a = full({2}, 7), b = full({2}, 2);
    CHECK((a + b).to_vector()[1] == 9);
    CHECK((a - b).to_vector()[1] == 5);
    CHECK((a * b).to_vector()[1] == 14);
    CHECK((a / b).to_vector()[1] == 3.5);
    CHECK((2.0 * a + 1.0).to_vector()[1] == 15);
    CHECK((a / 2.0 - 0.5).to_vector()[1] == 3);
    CHECK(maximum(a, b).to_vector()[0] == 7);
    CHECK(minimum(a, b).to_vector()[0] == 2);
    CHECK(clamp(a, 0, 5).to_vector()[0] == 5);
    CHECK(pow(b, 5).to_vector()[0] == Approx(32));
    CHECK(leaky_relu(neg(b), 0.25).to_vector()[0] == -0.5);
    CHECK(affine(b, 3, 1).to_vector()[0] == 7);
    CHECK(gelu(full({1}, 1)).item() == Approx(0.8413447461).epsilon(1e-6));
    CHECK(gelu(full({1}, 1), GeluApproximation::tanh).item() == Approx(0.8411919906).epsilon(1e-6));
  }
}

TEST_CASE("elementwise: wrong inputs are refused by name", "[tensor][elementwise]") {
  CHECK_THROWS_WITH(exp(zeros({2}, DType::i64)), ContainsSubstring("exp: not defined for dtype i64"));
  CHECK_THROWS_WITH(mul(zeros({2, 3}), zeros({2})), ContainsSubstring("mul") && ContainsSubstring("(2, 3)"));
  CHECK_THROWS_WITH(clamp(zeros({2}), 1, 0), ContainsSubstring("min must not exceed max"));
  CHECK_THROWS_WITH(silu(Tensor()), ContainsSubstring("silu") && ContainsSubstring("undefined"));
  CHECK(add(zeros({0, 3}), zeros({1, 3})).shape() == Shape{0, 3});
}
