// Sorting, scans and extrema where rows of random numbers do not come: NaN, infinities, signed zeros, ties, the places
// that go with values, and gradients at 0.
#include "tensor/ops/sort.h"

#include <cmath>
#include <limits>

#include "autograd/variable.h"
#include "catch.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/index.h"
#include "tensor/ops/scan.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

using Values = std::vector<double>;
const double kNan = std::numeric_limits<double>::quiet_NaN();
const double kInf = std::numeric_limits<double>::infinity();

Tensor list(const Values& values, DType dtype = DType::f64) {
  return tensor_of(values, {static_cast<int64_t>(values.size())}, dtype);
}

// The gradient of sum(weights * f(x)), weights 1, 2, 3, ...
Values gradient(const Values& at, const std::function<Variable(const Variable&)>& f) {
  const Variable x(list(at), true);
  const Variable y = f(x);
  sum(y * Variable(arange(1, static_cast<double>(y.numel()) + 1, 1, DType::f64).reshape(y.shape()))).backward();
  return x.grad().tensor().to_vector();
}

}  // namespace

TEST_CASE("sort: NaN is the largest, equal elements keep their order", "[tensor][sort]") {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    const Tensor x = list({2, kNan, -kInf, 0, kInf, -0.0, kNan, -1}, dtype);
    CHECK(argsort(x).to_vector() == Values{2, 7, 3, 5, 0, 4, 1, 6});
    CHECK(argsort(x, 0, true).to_vector() == Values{1, 6, 4, 0, 3, 5, 7, 2});
    const Values values = sort(x).values.to_vector();
    CHECK_FALSE(std::signbit(values[2]));
    CHECK(std::signbit(values[3]));
    CHECK(topk(x, 3).indices.to_vector() == Values{1, 6, 4});
    CHECK(topk(x, 3, 0, {.largest = false}).indices.to_vector() == Values{2, 7, 3});
    CHECK(kthvalue(x, 8).indices.item() == 6);
    CHECK(median(x, 0).indices.item() == 1);
  }
  const double low = std::numeric_limits<int32_t>::min(), high = std::numeric_limits<int32_t>::max();
  CHECK(sort(list({0, high, -1, low, 5}, DType::i32)).values.to_vector() == Values{low, -1, 0, 5, high});
  Tensor far = zeros({3}, DType::i64);
  far.mutable_data<int64_t>()[1] = std::numeric_limits<int64_t>::max();
  far.mutable_data<int64_t>()[2] = std::numeric_limits<int64_t>::min();
  CHECK(argsort(far).to_vector() == Values{2, 0, 1});
  CHECK(median(far).item() == 0);  // the largest i64 is no NaN
  CHECK(argsort(list({1, 0, 1, 0}, DType::boolean)).to_vector() == Values{1, 3, 0, 2});
}

TEST_CASE("sort: what is unsorted is the same set", "[tensor][sort]") {
  const Tensor x = randn({3, 1000}, "unsorted");
  const Tensor loose = topk(x, 100, 1, {.sorted = false}).values;
  CHECK(sort(loose, 1, true).values.to_vector() == topk(x, 100, 1).values.to_vector());
}

TEST_CASE("sort: indices lead to the values, in every op that returns both", "[tensor][sort]") {
  const Tensor x = round(randn({7, 33, 5}, "indices") * 4.0);  // many ties
  for (int64_t dim = 0; dim < 3; ++dim) {
    for (const IndexedResult& r :
         {max(x, dim, true), min(x, dim, true), sort(x, dim), sort(x, dim, true), topk(x, 4, dim),
          kthvalue(x, 3, dim, true), median(x, dim, true), cummax(x, dim), cummin(x, dim)}) {
      CHECK(gather(x, dim, r.indices).to_vector() == r.values.to_vector());
    }
    CHECK(max(x, dim).indices.to_vector() == argmax(x, dim).to_vector());
    CHECK(squeeze(min(x, dim, true).values, dim).to_vector() == amin(x, {dim}).to_vector());
  }
}

TEST_CASE("median: the lower one of two, NaN where there is one", "[tensor][sort]") {
  CHECK(median(list({4, 1, 3, 2})).item() == 2);
  CHECK(median(list({4, 1, 3, 2}), 0).indices.item() == 3);
  CHECK(std::isnan(median(list({4, kNan, 3, kNan})).item()));
  CHECK(median(list({4, kNan, 3, kNan}), 0).indices.item() == 1);
  CHECK(std::isnan(median(zeros({0})).item()));
  CHECK(median(scalar(5)).item() == 5);
}

TEST_CASE("quantile: infinities, NaN, and both ends", "[tensor][sort]") {
  CHECK(quantile(Variable(list({3, 1, 2})), 0.25).item() == 1.5);
  CHECK(quantile(Variable(list({3, kInf, kInf})), 1).item() == kInf);
  CHECK(std::isnan(quantile(Variable(list({3, kNan, 1})), 0).item()));
  CHECK(quantile(Variable(scalar(5)), 0.3).item() == 5);
}

TEST_CASE("searchsorted: both sides of equal entries, NaN behind all numbers, two dtypes", "[tensor][sort]") {
  const Tensor sorted = list({1, 2, 2, 3});
  CHECK(searchsorted(sorted, list({0, 2, 2.5, 9, kNan})).to_vector() == Values{0, 1, 3, 4, 4});
  CHECK(searchsorted(sorted, list({0, 2, 2.5, 9}), true).to_vector() == Values{0, 3, 3, 4});
  CHECK(bucketize(list({2, 3}, DType::i64), list({1.5, 2.5})).to_vector() == Values{1, 2});
  CHECK(searchsorted(zeros({0}), ones({2})).to_vector() == Values{0, 0});
}

TEST_CASE("histc: the last part is closed, what lies outside is left out", "[tensor][sort]") {
  CHECK(histc(list({0, 1, 1.5, 2, 3, -1, kNan}), 2, 0, 2).to_vector() == Values{1, 3});
  CHECK(histc(list({5, 5, 5}), 3).to_vector() == Values{0, 3, 0});
  CHECK(sum(histc(randn({100000}, "histc"), 50)).item() == 100000);
}

TEST_CASE("max and argmax: the first of equals, NaN above all", "[tensor][reduce]") {
  CHECK(argmax(list({1, 3, 3})).item() == 1);
  CHECK(argmin(list({3, 1, 1})).item() == 1);
  CHECK(argmax(list({1, kNan, 9, kNan})).item() == 1);
  CHECK(argmin(list({1, kNan, 0, kNan})).item() == 1);
  CHECK(argmax(list({1, kNan, 9}, DType::bf16)).item() == 1);
  CHECK(std::isnan(max(list({1, kNan, 9}), 0).values.item()));
  CHECK(argmax(tensor_of({1, 2, 9, 4}, {2, 2})).item() == 2);
  CHECK(gradient({3, 3, 1}, [](const Variable& x) { return max(x, 0).values; }) == Values{1, 0, 0});
  CHECK(gradient({3, 3, 1}, [](const Variable& x) { return amax(x); }) == Values{0.5, 0.5, 0});
}

TEST_CASE("cummax and cummin: the last of equals, NaN from where it stands", "[tensor][scan]") {
  CHECK(cummax(list({1, 1, 0, 2}), 0).indices.to_vector() == Values{0, 1, 1, 3});
  CHECK(cummin(list({1, 1, 2, 0}), 0).indices.to_vector() == Values{0, 1, 1, 3});
  const IndexedResult r = cummax(list({1, kNan, 9}), 0);
  CHECK(r.indices.to_vector() == Values{0, 1, 1});
  CHECK(std::isnan(r.values.to_vector()[2]));
}

TEST_CASE("logcumsumexp: no overflow, and minus infinity while all is", "[tensor][scan]") {
  CHECK(logcumsumexp(list({1000, 1000}), 0).to_vector()[1] == Approx(1000 + std::log(2.0)));
  CHECK(logcumsumexp(list({-kInf, -kInf, 2, -kInf}), 0).to_vector() == Values{-kInf, -kInf, 2, 2});
  CHECK(logcumsumexp(list({0, kInf, 1}), 0).to_vector() == Values{0, kInf, kInf});
  CHECK(std::isnan(logcumsumexp(list({kNan, 1}), 0).to_vector()[1]));
  const auto scan = [](const Variable& x) { return logcumsumexp(x, 0); };
  CHECK(allclose(list(gradient({1000, -1000, 1000}, scan)), list({1 + 2 + 1.5, 0, 1.5})));
  CHECK(gradient({-kInf, 0, -kInf}, scan) == Values{0, 5, 0});
}

TEST_CASE("prod and cumprod: gradients where one, two or all elements are 0", "[tensor][scan]") {
  const auto product = [](const Variable& x) { return prod(x); };
  CHECK(gradient({2, 0, 5}, product) == Values{0, 10, 0});
  CHECK(gradient({0, 0, 5}, product) == Values{0, 0, 0});
  CHECK(gradient({2, 3, 5}, product) == Values{15, 10, 6});
  // y = (a, ab, abc) with weights 1, 2, 3.
  const auto products = [](const Variable& x) { return cumprod(x, 0); };
  CHECK(gradient({2, 0, 5}, products) == Values{1, 2 * 2 + 3 * 2 * 5, 0});
  CHECK(prod(zeros({0, 2}), 0).to_vector() == Values{1, 1});
  CHECK(cumprod(list({2, 3, 4}, DType::u8), 0).to_vector() == Values{2, 6, 24});
}

TEST_CASE("norm, std and normalize: the gradient at 0 is 0, of second order too", "[tensor][reduce]") {
  const Values zero{0, 0};
  for (const double p : {1.0, 2.0, 3.0}) {
    CHECK(gradient(zero, [=](const Variable& x) { return norm(x, p); }) == zero);
  }
  CHECK(gradient({4, 4}, [](const Variable& x) { return sfumato::std(x); }) == zero);
  CHECK(norm(Variable(list({0, 3, -2})), 0).item() == 2);
  CHECK(norm(Variable(list({0, 3, -4}))).item() == 5);
  CHECK(normalize(Variable(zeros({1, 3}))).tensor().to_vector() == Values{0, 0, 0});
  const Variable x(list({0, 0}), true), weight(scalar(3, DType::f64), true);
  const Variable slope = grad(norm(x) * weight, std::vector{x}, {}, {.create_graph = true})[0];
  const auto second = grad(sum(slope), std::vector{x, weight});
  CHECK(second[0].tensor().to_vector() == zero);
  CHECK(second[1].item() == 0);
}
