#include "tensor/ops/matmul.h"

#include <string>
#include <thread>

#include "autograd/variable.h"
#include "catch.h"
#include "ops/linalg_support.h"
#ifdef SFUMATO_FAST
#include "tensor/backend/onednn/engine.h"
#endif

using namespace sfumato;
using namespace sfumato::testing;

namespace {

// sum_k a[.., i, k] b[.., k, j] for matrices with the same batch shape, element by element through strides.
Tensor formula(const Tensor& a, const Tensor& b) {
  const Shape batch(a.shape().span().first(static_cast<size_t>(a.dim() - 2)));
  const int64_t rows = a.size(-2), depth = a.size(-1), columns = b.size(-1);
  const Tensor flat_a = a.contiguous(), flat_b = b.contiguous();
  std::vector<double> out;
  for (int64_t n = 0; n < batch.numel(); ++n)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
          sum +=
              flat_a.data<double>()[(n * rows + i) * depth + k] * flat_b.data<double>()[(n * depth + k) * columns + j];
        }
        out.push_back(sum);
      }
  Shape shape = batch;
  shape.push_back(rows);
  shape.push_back(columns);
  return tensor_of(out, shape, DType::f64);
}

// A view whose dimensions are stored in another order and whose last stored dimension has gaps, as attention's are.
Tensor scattered(const Shape& shape, const Dims& stored_order, uint64_t seed, DType dtype) {
  Shape stored = Shape::filled(shape.rank(), 0);
  Dims back = stored;
  for (int i = 0; i < shape.rank(); ++i) {
    const int from = static_cast<int>(stored_order[i]);
    stored[i] = shape[from];
    back[from] = i;
  }
  const int last = shape.rank() - 1;
  stored[last] += 3;
  const Tensor wide = random_tensor(stored, seed, dtype);
  return permute(narrow(wide, last, 1, stored[last] - 3), back);
}

struct MatmulCase {
  std::string name;
  Shape a, b, batch;
};

std::vector<MatmulCase> cases() {
  return {
      {"matrices", {5, 7}, {7, 3}, {}},
      {"one by one", {1, 1}, {1, 1}, {}},
      {"row times column", {1, 9}, {9, 1}, {}},
      {"row times matrix", {1, 9}, {9, 6}, {}},
      {"rows times matrices", {4, 1, 7}, {4, 7, 3}, {4}},
      {"column times row", {9, 1}, {1, 6}, {}},
      {"batch", {4, 5, 7}, {4, 7, 3}, {4}},
      {"two batch dimensions", {2, 3, 5, 7}, {2, 3, 7, 4}, {2, 3}},
      {"b repeated", {4, 5, 7}, {7, 3}, {4}},
      {"a repeated", {5, 7}, {4, 7, 3}, {4}},
      {"a repeated by size 1", {1, 5, 7}, {4, 7, 3}, {4}},
      {"b repeated along the outer dimension", {2, 3, 5, 7}, {3, 7, 4}, {2, 3}},
      {"both repeated", {2, 1, 5, 7}, {1, 3, 7, 4}, {2, 3}},
      {"depth 0", {3, 4, 0}, {3, 0, 5}, {3}},
      {"no rows", {0, 4}, {4, 5}, {}},
      {"empty batch", {0, 3, 4}, {0, 4, 5}, {0}},
      {"empty batch repeated", {0, 3, 4}, {4, 5}, {0}},
      {"blocks of every size", {130, 67}, {67, 51}, {}},
  };
}

Tensor expanded(const Tensor& x, const Shape& batch) {
  Shape shape = batch;
  shape.push_back(x.size(-2));
  shape.push_back(x.size(-1));
  return expand(x, shape);
}

}  // namespace

TEST_CASE("matmul: every backend computes the formula for every layout", "[matmul]") {
  for (const MatmulCase& c : cases()) {
    INFO(c.name);
    for (int layout = 0; layout < 3; ++layout) {
      INFO("layout " << layout);  // contiguous; both transposed; scattered
      const auto make = [&](const Shape& shape, uint64_t seed, DType dtype) {
        if (layout == 0) return random_tensor(shape, seed, dtype);
        Dims order;
        for (int i = 0; i < shape.rank(); ++i) order.push_back(layout == 1 ? i : shape.rank() - 1 - i);
        if (layout == 1) {
          std::swap(order[shape.rank() - 1], order[shape.rank() - 2]);
        }
        return scattered(shape, order, seed, dtype);
      };
      const Tensor a = make(c.a, 1, DType::f64), b = make(c.b, 2, DType::f64);
      const Tensor expected = formula(expanded(a, c.batch), expanded(b, c.batch));
      for (const Backend side : backends()) {
        INFO("backend " << static_cast<int>(side));
        const BackendScope scope(side);
        CHECK(difference(matmul(a, b), expected) <= 1e-14);
        CHECK(difference(matmul(make(c.a, 1, DType::f32), make(c.b, 2, DType::f32)), expected) <= kF32Tolerance);
      }
    }
  }
}

TEST_CASE("matmul: vectors are rows on the left and columns on the right", "[matmul]") {
  for (const Backend side : backends()) {
    const BackendScope scope(side);
    const Tensor v = tensor_of({1, 2, 3}, {3}), m = tensor_of({1, 2, 3, 4, 5, 6}, {3, 2});
    CHECK(matmul(v, m).to_vector() == std::vector<double>{22, 28});
    CHECK(matmul(transpose(m, 0, 1), v).to_vector() == std::vector<double>{22, 28});
    CHECK(matmul(v, v).shape() == Shape{});
    CHECK(matmul(v, v).item() == 14);
    CHECK(matmul(zeros({5, 4, 3}), v).shape() == Shape{5, 4});
    CHECK(matmul(v, zeros({5, 3, 4})).shape() == Shape{5, 4});
  }
}

TEST_CASE("linear: rows times the transposed weight plus the bias", "[matmul]") {
  for (const Backend side : backends()) {
    const BackendScope scope(side);
    for (const DType dtype : {DType::f32, DType::f64}) {
      const double tolerance = dtype == DType::f32 ? kF32Tolerance : 1e-14;
      const Tensor x = random_tensor({3, 5, 7}, 1, dtype), w = random_tensor({4, 7}, 2, dtype);
      const Tensor bias = random_tensor({4}, 3, dtype);
      const Tensor product = matmul(x, transpose(w, 0, 1));
      CHECK(difference(linear(x, w), product) <= tolerance);
      CHECK(difference(linear(x, w, bias), product + bias) <= tolerance);
      const Tensor wide = random_tensor({7, 4}, 2, dtype);  // a weight that is itself a transposed view
      CHECK(difference(linear(x, transpose(wide, 0, 1), bias), matmul(x, wide) + bias) <= tolerance);
      CHECK(linear(select(select(x, 0, 0), 0, 0), w, bias).shape() == Shape{4});
      CHECK(linear(zeros({0, 7}, dtype), w, bias).shape() == Shape{0, 4});
      CHECK(linear(zeros({2, 0}, dtype), zeros({4, 0}, dtype), full({4}, 3, dtype)).to_vector() ==
            std::vector<double>(8, 3.0));
    }
  }
}

TEST_CASE("matmul: errors name the rule and what was received", "[matmul]") {
  CHECK_THROWS_WITH(matmul(zeros({2, 3}), zeros({4, 5})),
                    ContainsSubstring("a (2, 3) has 3 columns but b (4, 5) has 4 rows"));
  CHECK_THROWS_WITH(matmul(zeros({2, 3, 4}), zeros({3, 4, 5})), ContainsSubstring("matmul"));
  CHECK_THROWS_WITH(matmul(scalar(1), zeros({1, 1})), ContainsSubstring("at least 1 dimension"));
  CHECK_THROWS_WITH(matmul(zeros({2, 2}), zeros({2, 2}, DType::f64)), ContainsSubstring("a is f32 but b is f64"));
  CHECK_THROWS_WITH(matmul(zeros({2, 2}), Tensor()), ContainsSubstring("b is undefined"));
  CHECK_THROWS_WITH(linear(zeros({2, 3}), zeros({4, 5})), ContainsSubstring("must end in 5 features"));
  CHECK_THROWS_WITH(linear(zeros({2, 5}), zeros({4, 5}), zeros({5})), ContainsSubstring("bias has shape (5,)"));
  // The same message whether the arguments are recorded or not.
  CHECK_THROWS_WITH(matmul(Variable(zeros({6, 2, 3}), true), Variable(zeros({4, 5}))),
                    ContainsSubstring("a (6, 2, 3) has 3 columns"));
}

#ifdef SFUMATO_FAST
TEST_CASE("matmul: a repeated product creates no primitive", "[matmul]") {
  const BackendScope scope(Backend::fast);
  const auto products = [] {
    for (const MatmulCase& c : cases()) {
      matmul(random_tensor(c.a, 1, DType::f32), random_tensor(c.b, 2, DType::f32));
    }
    linear(random_tensor({3, 7}, 1, DType::f32), random_tensor({4, 7}, 2, DType::f32));
  };
  products();
  const uint64_t before = onednn_primitives_created();
  CHECK(before > 0);
  products();
  CHECK(onednn_primitives_created() == before);
}

TEST_CASE("matmul: threads of their own may multiply at the same time", "[matmul]") {
  // Scratch memory that two threads share would mix up their results.
  const BackendScope outer(Backend::fast);
  const Tensor a = random_tensor({64, 96}, 1, DType::f32), b = random_tensor({96, 80}, 2, DType::f32);
  const std::vector<double> expected = matmul(a, b).to_vector();
  bool same[2] = {true, true};
  const auto work = [&](bool& ok) {
    const BackendScope scope(Backend::fast);
    for (int i = 0; i < 20; ++i) ok = ok && matmul(a, b).to_vector() == expected;
  };
  std::thread first(work, std::ref(same[0])), second(work, std::ref(same[1]));
  first.join();
  second.join();
  CHECK((same[0] && same[1]));
}
#endif
