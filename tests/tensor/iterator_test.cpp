#include "tensor/iterator.h"

#include <numeric>
#include <vector>

#include "catch.h"
#include "tensor/ops/view.h"

using namespace sfumato;

namespace {

Tensor counting(const Shape& shape) {
  return arange(0, static_cast<double>(shape.numel()), 1, DType::f64).reshape(shape);
}

struct Runs {
  std::vector<ElementwiseIterator::Run> runs;
  explicit Runs(const ElementwiseIterator& it) {
    it.for_each_run(int64_t{1} << 40, [&](const auto& run) { runs.push_back(run); });
  }
};

// Index by index, as the definition says.
double broadcast_value(const Tensor& x, const Shape& shape, int64_t flat) {
  int64_t offset = 0;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    const int64_t index = flat % shape[d];
    flat /= shape[d];
    const int own = d - (shape.rank() - x.dim());
    if (own >= 0 && x.shape()[own] != 1) offset += index * x.strides()[own];
  }
  return x.data<double>()[offset];
}

}  // namespace

TEST_CASE("iterator: contiguous operands are one run, whatever their rank", "[tensor]") {
  const Tensor x = counting({2, 3, 4, 5}), y = counting({2, 3, 4, 5});
  const Runs all(ElementwiseIterator(x.shape(), {&x, &y}));
  REQUIRE(all.runs.size() == 1);
  CHECK(all.runs[0].count == 120);
  CHECK(all.runs[0].stride[0] == 1);
}

TEST_CASE("iterator: a bias per channel merges the image's dimensions", "[tensor]") {
  const Tensor x = counting({2, 3, 4, 5}), bias = counting({1, 3, 1, 1});
  const Runs all(ElementwiseIterator(x.shape(), {&x, &bias}));
  REQUIRE(all.runs.size() == 6);
  for (const auto& run : all.runs) {
    CHECK(run.count == 20);
    CHECK(run.stride[1] == 0);
  }
  CHECK(all.runs[4].offset[1] == 1);
}

TEST_CASE("iterator: every element is visited once with the right operands, cut anywhere", "[tensor]") {
  // Grain 1 on many threads cuts inside runs; a run that restarts at a wrong index shows here.
  const int before = num_threads();
  set_num_threads(7);
  const Tensor base = counting({4, 5, 3});
  const std::vector<Tensor> operands{counting({3, 5, 4}),
                                     permute(base, {2, 1, 0}),
                                     counting({5, 1}),
                                     counting({4}),
                                     expand(counting({3, 1, 1}), {3, 5, 4}),
                                     slice(counting({3, 5, 8}), 2, 1, 8, 2),
                                     scalar(3, DType::f64)};
  const Shape shape{3, 5, 4};
  for (const Tensor& operand : operands) {
    CAPTURE(to_string(operand.shape()), to_string(operand.strides()));
    Tensor out = full(shape, -1, DType::f64);
    double* to = out.mutable_data<double>();
    const double* from = operand.data<double>();
    for (const int64_t grain : {int64_t{1}, int64_t{7}, int64_t{1000}}) {
      ElementwiseIterator(shape, {&out, &operand}).for_each_run(grain, [&](const auto& run) {
        for (int64_t i = 0; i < run.count; ++i) {
          to[run.offset[0] + i * run.stride[0]] = from[run.offset[1] + i * run.stride[1]];
        }
      });
      bool same = true;
      for (int64_t i = 0; i < out.numel(); ++i) same &= to[i] == broadcast_value(operand, shape, i);
      CHECK(same);
      out.fill(-1);
    }
  }
  set_num_threads(before);
}

TEST_CASE("iterator: nothing to visit in an empty shape, one element in rank 0", "[tensor]") {
  const Tensor none = empty({3, 0, 2}), one = scalar(1);
  CHECK(Runs(ElementwiseIterator(none.shape(), {&none})).runs.empty());
  const Runs single(ElementwiseIterator(one.shape(), {&one}));
  REQUIRE(single.runs.size() == 1);
  CHECK(single.runs[0].count == 1);
}
