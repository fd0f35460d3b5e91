#include "tensor/ops/norm.h"

#include <cmath>
#include <limits>
#include <string>

#include "autograd/variable.h"
#include "catch.h"
#include "ops/linalg_support.h"
#include "tensor/parallel.h"
#ifdef SFUMATO_FAST
#include "tensor/backend/fast/isa.h"
#include "tensor/backend/fast/norm_kernels.h"
#endif

using namespace sfumato;
using namespace sfumato::testing;

namespace {

struct NormCase {
  Shape x;
  int64_t groups;
};

// Planes of 1, 49 and 1024 pixels, primes, rows longer than the kernels' blocks of 4096, every rank, empty sizes.
std::vector<NormCase> norm_cases() {
  return {{{2, 3, 7, 7}, 1},   {{2, 3, 7, 7}, 3},    {{3, 12, 1, 1}, 4},    {{2, 384, 4, 4}, 32},
          {{1, 6, 32, 32}, 2}, {{2, 4, 71, 61}, 2},  {{1, 2, 129, 127}, 1}, {{5, 10}, 2},
          {{3, 8, 13}, 2},     {{2, 4, 2, 3, 5}, 2}, {{1, 128, 3, 5}, 32},  {{0, 4, 3, 3}, 2},
          {{2, 4, 0, 3}, 2},   {{4, 1, 5}, 1},       {{1, 1, 1000}, 1},     {{2, 17, 11, 3}, 17}};
}

Tensor maybe(bool wanted, const Tensor& t) { return wanted ? t : Tensor(); }

bool same_bits(const Tensor& a, const Tensor& b) { return a.to_vector() == b.to_vector(); }

struct BothPasses {
  GroupNormResult forward;
  GroupNormGradients backward;
};

BothPasses run(const Tensor& x, const Tensor& dy, const Tensor& w, const Tensor& b, const GroupNormOptions& o) {
  BothPasses r;
  r.forward = group_norm(x, w, b, o);
  r.backward = group_norm_backward(dy, x, r.forward.mean, r.forward.rstd, w, b, o);
  return r;
}

}  // namespace

TEST_CASE("group_norm: both passes agree with f64 on every backend", "[ops][norm]") {
  for (const NormCase& c : norm_cases()) {
    for (const bool silu : {false, true}) {
      for (const bool affine : {false, true}) {
        const int64_t channels = c.x[1];
        const Tensor x = random_tensor(c.x, 1) + 0.5;
        const Tensor dy = random_tensor(c.x, 2);
        const Tensor w = maybe(affine, random_tensor({channels}, 3) + 1.5);
        const Tensor b = maybe(affine, random_tensor({channels}, 4));
        const GroupNormOptions o{.num_groups = c.groups, .eps = 1e-5, .silu = silu};
        const BothPasses expected = run(x, dy, w, b, o);
        for (const Backend backend : backends()) {
          const BackendScope scope(backend);
          const auto f32 = [](const Tensor& t) { return t.defined() ? t.to(DType::f32) : t; };
          const BothPasses r = run(f32(x), f32(dy), f32(w), f32(b), o);
          INFO("x " << to_string(c.x) << " groups " << c.groups << " silu " << silu << " affine " << affine << " fast "
                    << (backend == Backend::fast));
          CHECK(difference(r.forward.out, expected.forward.out) < 2e-6);
          CHECK(difference(r.forward.mean, expected.forward.mean) < 1e-6);
          CHECK(difference(r.forward.rstd, expected.forward.rstd) < 2e-6);
          CHECK(difference(r.backward.dx, expected.backward.dx) < 5e-6);
          CHECK(r.backward.dweight.defined() == affine);
          CHECK(r.backward.dbias.defined() == affine);
          if (affine) {
            CHECK(difference(r.backward.dweight, expected.backward.dweight) < 5e-6);
            CHECK(difference(r.backward.dbias, expected.backward.dbias) < 5e-6);
          }
        }
      }
    }
  }
}

TEST_CASE("group_norm: a group becomes mean 0 and variance 1, then is scaled and shifted", "[ops][norm]") {
  const Tensor x = tensor_of({1, 2, 3, 4, -1, 1, 5, 5}, {1, 4, 2}, DType::f64);
  const GroupNormResult r = group_norm(x, tensor_of({1, 2, 1, 1}, {4}, DType::f64),
                                       tensor_of({0, 0, 0, 10}, {4}, DType::f64), {.num_groups = 2, .eps = 0});
  const double s = std::sqrt(1.25);
  const double t = std::sqrt(6.75);
  const std::vector<double> expected = {-1.5 / s, -0.5 / s, 1 / s,        3 / s,
                                        -3.5 / t, -1.5 / t, 10 + 2.5 / t, 10 + 2.5 / t};
  for (size_t i = 0; i < expected.size(); ++i) {
    CHECK(r.out.to_vector()[i] == Approx(expected[i]));
  }
  CHECK(r.mean.to_vector() == std::vector<double>{2.5, 2.5});
}

// Catches a variance computed as E[x^2] - E[x]^2, which cancels here.
TEST_CASE("group_norm: a large common offset does not spoil the variance", "[ops][norm]") {
  const Tensor exact = random_tensor({2, 4, 50, 50}, 5);
  const Tensor x = (exact + 1000.0).to(DType::f32);
  const GroupNormOptions o{.num_groups = 2, .eps = 1e-6};
  const GroupNormResult expected = group_norm(x.to(DType::f64), {}, {}, o);
  for (const Backend backend : backends()) {
    const BackendScope scope(backend);
    const GroupNormResult r = group_norm(x, {}, {}, o);
    CHECK(difference(r.rstd, expected.rstd) < 1e-5);
    CHECK(difference(r.out, expected.out) < 2e-4);  // the mean itself is rounded to 2^-14
  }
}

TEST_CASE("group_norm: with silu it equals the two ops", "[ops][norm]") {
  const Tensor x = random_tensor({2, 6, 7, 5}, 6, DType::f32) * 3.0;
  const Tensor w = random_tensor({6}, 7, DType::f32) + 1.0;
  const Tensor b = random_tensor({6}, 8, DType::f32);
  const Tensor dy = random_tensor({2, 6, 7, 5}, 9, DType::f32);
  for (const Backend backend : backends()) {
    const BackendScope scope(backend);
    const GroupNormOptions plain{.num_groups = 3}, fused{.num_groups = 3, .silu = true};
    const GroupNormResult r = group_norm(x, w, b, plain);
    CHECK(difference(group_norm(x, w, b, fused).out, silu(r.out)) < 1e-6);
    const GroupNormGradients split = group_norm_backward(silu_backward(dy, r.out), x, r.mean, r.rstd, w, b, plain);
    const GroupNormGradients d = group_norm_backward(dy, x, r.mean, r.rstd, w, b, fused);
    CHECK(difference(d.dx, split.dx) < 2e-6);
    CHECK(difference(d.dweight, split.dweight) < 2e-6);
    CHECK(difference(d.dbias, split.dbias) < 2e-6);
  }
}

TEST_CASE("group_norm: a gradient over an empty batch or plane is zero", "[ops][norm]") {
  for (const Shape& shape : {Shape{0, 4, 3, 3}, Shape{2, 4, 0, 3}}) {
    for (const Backend backend : backends()) {
      const BackendScope scope(backend);
      const Tensor w = ones({4});
      const BothPasses r = run(empty(shape), empty(shape), w, w, {.num_groups = 2});
      CHECK(r.backward.dweight.to_vector() == std::vector<double>(4, 0.0));
      CHECK(r.backward.dbias.to_vector() == std::vector<double>(4, 0.0));
    }
  }
}

TEST_CASE("group_norm: a group of one element gives the bias and no gradient", "[ops][norm]") {
  const Tensor x = random_tensor({3, 2, 1}, 16, DType::f32);
  const Tensor b = tensor_of({0.5, -2}, {2});
  for (const Backend backend : backends()) {
    const BackendScope scope(backend);
    const BothPasses r = run(x, x, ones({2}), b, {.num_groups = 2});
    CHECK(r.forward.out.to_vector() == std::vector<double>{0.5, -2, 0.5, -2, 0.5, -2});
    CHECK(difference(r.backward.dx + 1.0, ones_like(x)) < 1e-4);  // terms of size rstd = 316 cancel
  }
}

TEST_CASE("group_norm and softmax: views are read as their elements stand", "[ops][norm]") {
  const Tensor x = random_tensor({2, 5, 7, 4}, 10, DType::f32);
  const Tensor view = permute(x, {0, 3, 1, 2});
  const Tensor w = slice(random_tensor({8}, 11, DType::f32), 0, 0, 8, 2);
  for (const Backend backend : backends()) {
    const BackendScope scope(backend);
    const GroupNormOptions o{.num_groups = 2, .silu = true};
    const BothPasses a = run(view, view, w, w, o);
    const BothPasses b = run(view.clone(), view.clone(), w.clone(), w.clone(), o);
    CHECK(same_bits(a.forward.out, b.forward.out));
    CHECK(same_bits(a.backward.dx, b.backward.dx));
    CHECK(same_bits(softmax(view, -1), softmax(view.clone(), -1)));
    CHECK(same_bits(softmax_backward(view, view, 1), softmax_backward(view.clone(), view.clone(), 1)));
  }
}

TEST_CASE("group_norm and softmax: the same bits with one thread and with two", "[ops][norm]") {
  const Tensor x = random_tensor({3, 24, 40, 40}, 12, DType::f32);
  const Tensor dy = random_tensor({3, 24, 40, 40}, 13, DType::f32);
  const Tensor w = random_tensor({24}, 14, DType::f32);
  const GroupNormOptions o{.num_groups = 8, .silu = true};
  const int before = num_threads();
  set_num_threads(1);
  const BothPasses one = run(x, dy, w, w, o);
  const Tensor soft_one = softmax(x, -1);
  set_num_threads(2);
  const BothPasses two = run(x, dy, w, w, o);
  const Tensor soft_two = softmax(x, -1);
  set_num_threads(before);
  CHECK(same_bits(one.forward.out, two.forward.out));
  CHECK(same_bits(one.backward.dx, two.backward.dx));
  CHECK(same_bits(one.backward.dweight, two.backward.dweight));
  CHECK(same_bits(one.backward.dbias, two.backward.dbias));
  CHECK(same_bits(soft_one, soft_two));
}

// Each sample's bits must not depend on its neighbours in the batch: micro-batches rely on it.
TEST_CASE("group_norm: a sample alone gives the bits that it gives in a batch", "[ops][norm]") {
  const Tensor x = random_tensor({3, 6, 9, 9}, 15, DType::f32);
  const GroupNormOptions o{.num_groups = 3, .silu = true};
  const Tensor whole = group_norm(x, {}, {}, o).out;
  CHECK(same_bits(group_norm(narrow(x, 0, 1, 1), {}, {}, o).out, narrow(whole, 0, 1, 1)));
}

TEST_CASE("group_norm: errors say what was expected and what came", "[ops][norm]") {
  const Tensor x = zeros({2, 6, 4, 4});
  CHECK_THROWS_WITH(group_norm(x, {}, {}, {.num_groups = 4}),
                    ContainsSubstring("group_norm: 6 channels") && ContainsSubstring("4 groups"));
  CHECK_THROWS_WITH(group_norm(x, {}, {}, {.num_groups = 0}),
                    ContainsSubstring("num_groups must be at least 1, got 0"));
  CHECK_THROWS_WITH(group_norm(zeros({6}), {}, {}, {}), ContainsSubstring("(N, C, ...), got (6,)"));
  CHECK_THROWS_WITH(group_norm(x, zeros({5}), {}, {}), ContainsSubstring("weight has shape (5,)"));
  CHECK_THROWS_WITH(group_norm(x, {}, zeros({6}, DType::f64), {}), ContainsSubstring("bias is f64"));
  CHECK_THROWS_AS(group_norm(zeros({1, 2}, DType::i64), {}, {}, {}), Error);
  const Tensor stats = zeros({2, 1});
  CHECK_THROWS_WITH(group_norm_backward(zeros({2, 6}), x, stats, stats, {}, {}, {}),
                    ContainsSubstring("dy has shape (2, 6)"));
  CHECK_THROWS_WITH(softmax(x, 4), ContainsSubstring("softmax"));
  CHECK_THROWS_WITH(layer_norm(Variable(x), {5}), ContainsSubstring("layer_norm: input (2, 6, 4, 4)"));
  CHECK_THROWS_WITH(rms_norm(Variable(x), {4}, Variable(zeros({3}))), ContainsSubstring("weight has shape (3,)"));
}

TEST_CASE("softmax: agrees with f64 along every dimension", "[ops][norm]") {
  for (const Shape& shape : {Shape{5, 1}, Shape{3, 7}, Shape{2, 16, 3}, Shape{4, 33}, Shape{2, 3, 1024}, Shape{1, 4999},
                             Shape{0, 4}, Shape{4, 0}, Shape{}}) {
    for (int64_t dim = -std::max(shape.rank(), 1); dim < shape.rank(); ++dim) {
      const Tensor x = random_tensor(shape, 20) * 3.0;
      const Tensor dy = random_tensor(shape, 21);
      const Tensor y = softmax(x, dim);
      const Tensor dx = softmax_backward(y, dy, dim);
      if (shape.numel() > 0) {
        CHECK(difference(sum(y, {dim}), ones_like(sum(y, {dim}))) < 1e-12);
      }
      for (const Backend backend : backends()) {
        const BackendScope scope(backend);
        INFO("shape " << to_string(shape) << " dim " << dim << " fast " << (backend == Backend::fast));
        CHECK(difference(softmax(x.to(DType::f32), dim), y) < 2e-6);
        CHECK(difference(softmax_backward(y.to(DType::f32), dy.to(DType::f32), dim), dx) < 2e-6);
      }
    }
  }
}

TEST_CASE("softmax: large, infinite and NaN entries", "[ops][norm]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  for (const Backend backend : backends()) {
    const BackendScope scope(backend);
    CHECK(softmax(tensor_of({1e30, 1e30, -1e30}, {3}), 0).to_vector() == std::vector<double>{0.5, 0.5, 0});
    CHECK(softmax(tensor_of({-inf, 0, -inf}, {3}), 0).to_vector() == std::vector<double>{0, 1, 0});
    CHECK(std::isnan(softmax(tensor_of({0, std::nan(""), 1}, {3}), 0).to_vector()[0]));
  }
}

#ifdef SFUMATO_FAST
// Otherwise only the kernels of the best instruction set would run on the machine that tests.
TEST_CASE("norms: the kernels of every instruction set agree", "[ops][norm]") {
  const Tensor x = random_tensor({2, 6, 37}, 22, DType::f32), dy = random_tensor({2, 6, 37}, 23, DType::f32);
  const Tensor w = random_tensor({6}, 24, DType::f32);
  const BackendScope reference(Backend::reference);
  const GroupNormOptions o{.num_groups = 2, .eps = 1e-5, .silu = true};
  const BothPasses expected = run(x, dy, w, w, o);
  const Tensor y = softmax(x, -1), dx = softmax_backward(y, dy, -1);
  const auto agree = [&](auto forward, auto backward, auto softmax_rows, auto softmax_backward_rows) {
    Tensor out = empty_like(x), mean = empty({2, 2}), rstd = empty({2, 2}), gradient = empty_like(x);
    Tensor dweight = empty({2, 6}, DType::f64), dbias = empty({2, 6}, DType::f64);
    fast::GroupNormCall call{.channels = 6,
                             .groups = 2,
                             .plane = 37,
                             .eps = 1e-5f,
                             .silu = true,
                             .x = x.data<float>(),
                             .weight = w.data<float>(),
                             .bias = w.data<float>(),
                             .mean = mean.mutable_data<float>(),
                             .rstd = rstd.mutable_data<float>(),
                             .out = out.mutable_data<float>(),
                             .dy = dy.data<float>(),
                             .dx = gradient.mutable_data<float>(),
                             .dweight = dweight.mutable_data<double>(),
                             .dbias = dbias.mutable_data<double>()};
    forward(call, 0, 4);
    backward(call, 0, 4);
    CHECK(difference(out, expected.forward.out) < 2e-6);
    CHECK(difference(gradient, expected.backward.dx) < 5e-6);
    CHECK(difference(sum(dweight, {0}), expected.backward.dweight) < 5e-6);
    CHECK(difference(sum(dbias, {0}), expected.backward.dbias) < 5e-6);
    softmax_rows(x.data<float>(), out.mutable_data<float>(), 12, 37);
    CHECK(difference(out, y) < 2e-6);
    softmax_backward_rows(y.data<float>(), dy.data<float>(), gradient.mutable_data<float>(), 12, 37);
    CHECK(difference(gradient, dx) < 2e-6);
  };
  const auto up_to = fast::isa();
  agree(fast::baseline::group_norm, fast::baseline::group_norm_backward, fast::baseline::softmax_rows,
        fast::baseline::softmax_backward_rows);
  if (up_to >= fast::Isa::avx2) {
    agree(fast::avx2::group_norm, fast::avx2::group_norm_backward, fast::avx2::softmax_rows,
          fast::avx2::softmax_backward_rows);
  }
  if (up_to >= fast::Isa::avx512) {
    agree(fast::avx512::group_norm, fast::avx512::group_norm_backward, fast::avx512::softmax_rows,
          fast::avx512::softmax_backward_rows);
  }
}
#endif

TEST_CASE("logsumexp and log_softmax: no overflow, and minus infinity where all entries are", "[ops][norm]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  CHECK(logsumexp(Variable(tensor_of({1000, 1000}, {2}, DType::f64))).item() == Approx(1000 + std::log(2.0)));
  CHECK(logsumexp(Variable(tensor_of({-inf, -inf}, {2}, DType::f64))).item() == -inf);
  CHECK(logsumexp(Variable(tensor_of({inf, 0}, {2}, DType::f64))).item() == inf);
  CHECK(logsumexp(Variable(empty({2, 0}, DType::f64)), {1}).tensor().to_vector() == std::vector<double>{-inf, -inf});
  CHECK(log_softmax(Variable(tensor_of({-1e4, 0}, {2}, DType::f64)), 0).tensor().to_vector()[0] == Approx(-1e4));
}

TEST_CASE("batch_norm: training moves the running statistics, evaluation uses them", "[ops][norm]") {
  const Tensor x = random_tensor({5, 3, 4}, 51);
  Tensor mean_now = zeros({3}, DType::f64), var_now = ones({3}, DType::f64);
  const BatchNormOptions training{.training = true, .momentum = 0.25};
  const Variable y = batch_norm(Variable(x), mean_now, var_now, {}, {}, training);
  CHECK(difference(y.tensor(), batch_norm(Variable(x), {}, {}, {}, {}, training).tensor()) == 0);
  CHECK(difference(mean_now, mean(x, {0, 2}) * 0.25) < 1e-12);
  CHECK(difference(var_now, var(x, {0, 2}) * 0.25 + 0.75) < 1e-12);  // the unbiased variance, as in PyTorch
  const Tensor before = mean_now.clone();
  batch_norm(Variable(x), mean_now, var_now);
  CHECK(same_bits(mean_now, before));
  // Statistics kept in f32 serve bf16 data.
  Tensor wide = zeros({3}), spread = ones({3});
  batch_norm(Variable(x.to(DType::bf16)), wide, spread, {}, {}, training);
  CHECK(difference(wide.to(DType::f64), before) < 1e-2);
}

TEST_CASE("norms: statistics run over the dimensions that the name says", "[ops][norm]") {
  const Tensor x = random_tensor({3, 4, 5}, 50);
  const auto is_standard = [](const Tensor& y, const Dims& dims) {
    const Tensor m = mean(y, dims), v = mean(square(y), dims);
    return difference(m + 1.0, ones_like(m)) < 1e-12 && difference(v, ones_like(v)) < 1e-4;
  };
  CHECK(is_standard(layer_norm(Variable(x), {5}).tensor(), {2}));
  CHECK(is_standard(layer_norm(Variable(x), {4, 5}).tensor(), {1, 2}));
  CHECK(is_standard(batch_norm(Variable(x), {}, {}, {}, {}, {.training = true}).tensor(), {0, 2}));
  const Tensor r = rms_norm(Variable(x), {5}).tensor();
  CHECK(difference(mean(square(r), {2}), ones({3, 4}, DType::f64)) < 1e-4);
  CHECK(var(Variable(tensor_of({1, 2, 4, 5}, {4}, DType::f64))).item() == Approx(10.0 / 3));
  CHECK(var(Variable(tensor_of({1, 2, 4, 5}, {4}, DType::f64)), {}, 0).item() == Approx(2.5));
}
