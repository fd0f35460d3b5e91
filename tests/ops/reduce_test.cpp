// Reductions: every choice of dimensions against a plain sum in f64, special values, and bits that do not depend on the
// number of threads.
#include "tensor/ops/reduce.h"

#include <cmath>
#include <cstring>

#include "catch.h"
#include "tensor/backend/backend.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"
#include "tensor/random.h"

#ifdef SFUMATO_FAST
#include "tensor/backend/fast/isa.h"
#include "tensor/backend/fast/reduce_kernels.h"
#endif

using namespace sfumato;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::memcmp(a.raw_data(), b.raw_data(), static_cast<size_t>(a.numel()) * size_of(a.dtype())) == 0;
}

// By the definition: entry after entry into its place.
std::vector<double> expected(ReduceOp op, const Tensor& x, uint32_t mask) {
  const Shape kept = reduced_shape(x.shape(), mask, true);
  const Strides strides = contiguous_strides(kept);
  std::vector<double> out(static_cast<size_t>(kept.numel()), op == ReduceOp::sum   ? 0
                                                             : op == ReduceOp::max ? -INFINITY
                                                                                   : INFINITY);
  const auto values = x.to_vector();
  for (size_t i = 0; i < values.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t at = 0;
    for (int d = x.dim() - 1; d >= 0; --d) {
      const int64_t index = rest % x.shape()[d];
      rest /= x.shape()[d];
      at += (mask >> d & 1u) != 0 ? 0 : index * strides[d];
    }
    double& place = out[static_cast<size_t>(at)];
    place = op == ReduceOp::sum   ? place + values[i]
            : op == ReduceOp::max ? std::max(place, values[i])
                                  : std::min(place, values[i]);
  }
  return out;
}

Dims dims_of(uint32_t mask, int rank) {
  Dims dims;
  for (int d = 0; d < rank; ++d) {
    if ((mask >> d & 1u) != 0) dims.push_back(d % 2 == 0 ? d : d - rank);  // some from the end
  }
  return dims;
}

void check_all_masks(const Tensor& x, double tolerance) {
  for (uint32_t mask = 1; mask < (1u << x.dim()); ++mask) {
    const Dims dims = dims_of(mask, x.dim());
    CAPTURE(to_string(x.shape()), to_string(dims));
    const auto totals = expected(ReduceOp::sum, x, mask);
    const Tensor ours = sum(x, dims, true);
    REQUIRE(ours.shape() == reduced_shape(x.shape(), mask, true));
    CHECK(sum(x, dims).shape() == reduced_shape(x.shape(), mask, false));
    const auto values = ours.to_vector();
    const double count = static_cast<double>(x.numel()) / static_cast<double>(std::max<int64_t>(1, ours.numel()));
    double worst = 0;
    for (size_t i = 0; i < values.size(); ++i) worst = std::max(worst, std::abs(values[i] - totals[i]));
    CHECK(worst <= 8 * tolerance * std::sqrt(count));
    CHECK(amax(x, dims, true).to_vector() == expected(ReduceOp::max, x, mask));
    CHECK(amin(x, dims, true).to_vector() == expected(ReduceOp::min, x, mask));
    const auto means = mean(x, dims).to_vector();
    for (size_t i = 0; i < means.size(); ++i) worst = std::max(worst, std::abs(means[i] - totals[i] / count));
    CHECK(worst <= 8 * tolerance * std::sqrt(count));
  }
}

}  // namespace

TEST_CASE("reduce: every choice of dimensions agrees with a plain loop", "[tensor][reduce]") {
  for (const Backend side : {Backend::reference, Backend::fast}) {
    if (side == Backend::fast && !fast_backend_available()) continue;
    BackendScope scope(side);
    CAPTURE(static_cast<int>(side));
    for (const Shape& shape : {Shape{3, 5, 7, 11}, Shape{1, 17, 1, 33}, Shape{2, 3, 16, 64}, Shape{13, 1, 129, 1},
                               Shape{97}, Shape{257, 3}, Shape{3, 257}}) {
      check_all_masks(randn(shape, "reduce"), 1e-7);
      check_all_masks(randn(shape, "reduce", DType::f64), 2e-16);
    }
    const Tensor base = randn({5, 7, 6, 3}, "views");
    check_all_masks(permute(base, {2, 0, 3, 1}), 1e-7);
    check_all_masks(expand(randn({4, 1, 3}, "expanded"), {4, 5, 3}), 1e-7);
    check_all_masks(slice(base, 2, 1, 6, 2), 1e-7);
  }
}

TEST_CASE("reduce: dims, keepdim and the whole tensor", "[tensor][reduce]") {
  const Tensor x = arange(0, 24).reshape({2, 3, 4});
  CHECK(sum(x).item() == 276);
  CHECK(sum(x).dim() == 0);
  CHECK(mean(x).item() == 11.5);
  CHECK(sum(x, {}, true).shape() == Shape{1, 1, 1});
  CHECK(amax(x).item() == 23);
  CHECK(amin(x, {0, 2}).to_vector() == std::vector<double>{0, 4, 8});
  CHECK(sum(scalar(5)).item() == 5);
  CHECK(sum(scalar(5), {-1}).item() == 5);
  CHECK(mean(scalar(5), {0}).item() == 5);
  CHECK_THROWS_WITH(sum(x, {3}), ContainsSubstring("sum: dim 3"));
  CHECK_THROWS_WITH(sum(x, {0, -3}), ContainsSubstring("twice"));
}

TEST_CASE("reduce: empty tensors", "[tensor][reduce]") {
  for (const Backend side : {Backend::reference, Backend::fast}) {
    if (side == Backend::fast && !fast_backend_available()) continue;
    BackendScope scope(side);
    const Tensor none = zeros({2, 0, 3});
    CHECK(sum(none).item() == 0);
    CHECK(sum(none, {1}).to_vector() == std::vector<double>(6, 0.0));
    CHECK(sum(none, {0}).shape() == Shape{0, 3});
    CHECK(std::isnan(mean(none).item()));
    CHECK_THROWS_WITH(amax(none), ContainsSubstring("amax") && ContainsSubstring("empty"));
    CHECK_THROWS_AS(amin(none, {1}), Error);
    CHECK(amax(none, {0}).shape() == Shape{0, 3});
  }
}

TEST_CASE("reduce: NaN wins every extremum, wherever it stands", "[tensor][reduce]") {
  for (const Backend side : {Backend::reference, Backend::fast}) {
    if (side == Backend::fast && !fast_backend_available()) continue;
    BackendScope scope(side);
    for (const int64_t n : {1, 15, 16, 17, 63, 64, 65, 200}) {
      for (const int64_t at : {int64_t{0}, n / 2, n - 1}) {
        CAPTURE(static_cast<int>(side), n, at);
        Tensor x = randn({2, n}, "nan");
        x.mutable_data<float>()[n + at] = std::nanf("");
        for (const Tensor& rows : {x, transpose(x, 0, 1).contiguous()}) {
          const int64_t dim = rows.size(0) == 2 && n != 2 ? 1 : 0;
          const auto highest = amax(rows, {dim}).to_vector(), lowest = amin(rows, {dim}).to_vector();
          CHECK(std::isnan(highest[1]));
          CHECK(std::isnan(lowest[1]));
          CHECK_FALSE(std::isnan(highest[0]));
        }
      }
    }
    const Tensor infinite = tensor_of({INFINITY, 1, -INFINITY}, {3});
    CHECK(amax(infinite).item() == INFINITY);
    CHECK(amin(infinite).item() == -INFINITY);
    CHECK(std::isnan(sum(infinite).item()));
    CHECK(amax(full({40}, -INFINITY)).item() == -INFINITY);
  }
}

TEST_CASE("reduce: long sums keep f32's accuracy", "[tensor][reduce]") {
  // A running f32 sum of a million numbers near 1 is off by 1e-3; chunks and f64 totals keep it at a few roundings.
  const Tensor x = affine(rand({1000, 1009}, "long"), 0.5, 0.75);
  const Tensor exact = x.to(DType::f64);
  CHECK(sum(x).item() == Approx(sum(exact).item()).epsilon(3e-7));
  CHECK(sum(x, {0}).to_vector()[5] == Approx(sum(exact, {0}).to_vector()[5]).epsilon(1e-6));
  CHECK(sum(x, {1}).to_vector()[5] == Approx(sum(exact, {1}).to_vector()[5]).epsilon(1e-6));
}

TEST_CASE("reduce: a million numbers keep f32's accuracy within 1e-6", "[tensor][reduce]") {
  const Tensor x = rand({1000003}, "million");
  const Tensor exact = x.to(DType::f64);
  CHECK(sum(x).item() == Approx(sum(exact).item()).epsilon(1e-6));
  CHECK(mean(x).item() == Approx(mean(exact).item()).epsilon(1e-6));
  // Far from 0: squares of the values, or deviations from a mean that is rounded, would lose every digit.
  for (const double scale : {1.0, 1e-2}) {
    const Tensor far = affine(x, scale, 1e4);
    CHECK(var(far).item() == Approx(var(far.to(DType::f64)).item()).epsilon(1e-5));
  }
}

TEST_CASE("reduce: sums of integers are i64 and exact, whatever the threads", "[tensor][reduce]") {
  CHECK(sum(full({1000}, 200, DType::u8)).item() == 200000);
  CHECK(sum(full({3}, 0x7fffffff, DType::i32)).item() == 3.0 * 0x7fffffff);
  CHECK(sum(ones({100001}, DType::boolean)).item() == 100001);
  CHECK(sum(ones({2}, DType::u8)).dtype() == DType::i64);
  CHECK(sum(transpose(ones({300, 400}, DType::i32), 0, 1), {0}).to_vector() == std::vector<double>(300, 400));
  CHECK(prod(full({64}, 2, DType::i64)).item() == 0);  // wraps around
  CHECK_FALSE(any(zeros({0}, DType::i32)).item() != 0);
  CHECK(all(zeros({0}, DType::i32)).item() == 1);
  CHECK(any(full({2}, std::nan(""))).item() == 1);
}

TEST_CASE("reduce: the same bits on one thread and on several", "[tensor][reduce]") {
  const int before = num_threads();
  const auto on = [](int threads, auto&& f) {
    set_num_threads(threads);
    return f();
  };
  for (const Shape& shape : {Shape{139999}, Shape{7, 19997}, Shape{19997, 7}, Shape{11, 13, 31, 37}}) {
    const Tensor x = randn(shape, "threads");
    for (uint32_t mask = 1; mask < (1u << x.dim()); ++mask) {
      const Dims dims = dims_of(mask, x.dim());
      CAPTURE(to_string(shape), to_string(dims));
      const auto total = [&] { return sum(x, dims); };
      const auto highest = [&] { return amax(x, dims); };
      const Tensor once = on(1, total);
      CHECK(same_bits(once, on(2, total)));
      CHECK(same_bits(once, on(5, total)));
      CHECK(same_bits(on(1, highest), on(2, highest)));
    }
  }
  set_num_threads(before);
}

TEST_CASE("reduce: sum_to undoes broadcasting", "[tensor][reduce]") {
  const Tensor x = arange(0, 24).reshape({2, 3, 4});
  CHECK(sum_to(x, {2, 3, 4}).shares_storage_with(x));
  CHECK(sum_to(x, {3, 1}).to_vector() == sum(x, {0, 2}).to_vector());
  CHECK(sum_to(x, {3, 1}).shape() == Shape{3, 1});
  CHECK(sum_to(x, {4}).to_vector() == sum(x, {0, 1}).to_vector());
  CHECK(sum_to(x, {}).item() == 276);
  CHECK_THROWS_WITH(sum_to(x, {2, 4}), ContainsSubstring("sum_to"));
  CHECK_THROWS_AS(sum_to(x, {1, 2, 3, 4}), Error);
}

#ifdef SFUMATO_FAST
TEST_CASE("reduce: row kernels of every instruction set agree with the reference", "[tensor][reduce]") {
  struct Kernels {
    fast::Isa isa;
    decltype(&fast::baseline::reduce_row) row;
    decltype(&fast::baseline::reduce_rows) rows;
  };
  std::vector<Kernels> all{{fast::Isa::baseline, &fast::baseline::reduce_row, &fast::baseline::reduce_rows}};
  if (fast::isa() >= fast::Isa::avx2)
    all.push_back({fast::Isa::avx2, &fast::avx2::reduce_row, &fast::avx2::reduce_rows});
  if (fast::isa() >= fast::Isa::avx512) {
    all.push_back({fast::Isa::avx512, &fast::avx512::reduce_row, &fast::avx512::reduce_rows});
  }
  for (const Kernels& kernels : all) {
    for (const int64_t n : {1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 97, 131}) {
      CAPTURE(fast::name_of(kernels.isa), n);
      const Tensor x = randn({5, n}, "kernels");
      const float* data = x.data<float>();
      const auto values = x.to_vector();
      double total = 0, highest = -INFINITY, lowest = INFINITY;
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        total += values[i];
        highest = std::max(highest, values[i]);
        lowest = std::min(lowest, values[i]);
      }
      CHECK(kernels.row(ReduceOp::sum, data, n) == Approx(total).margin(1e-5));
      CHECK(kernels.row(ReduceOp::max, data, n) == highest);
      CHECK(kernels.row(ReduceOp::min, data, n) == lowest);
      Tensor out = full({n + 16}, -7);
      kernels.rows(ReduceOp::sum, data, 5, n, out.mutable_data<float>(), n);
      const auto columns = expected(ReduceOp::sum, x, 1);
      for (int64_t j = 0; j < n; ++j)
        CHECK(out.data<float>()[j] == Approx(columns[static_cast<size_t>(j)]).margin(1e-5));
      CHECK(out.data<float>()[n] == -7);  // nothing is written behind the end
    }
  }
}
#endif
