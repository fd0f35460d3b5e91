// to(): every pair of dtypes, and the gradient, which comes back in the dtype that went in.
#include "catch.h"

#include <cmath>

#include "autograd/ops/cast.h"
#include "autograd/ops/ops.h"
#include "tensor/ops/creation.h"

using namespace sfumato;
using Values = std::vector<double>;

namespace {

constexpr DType kEvery[] = {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::boolean, DType::u8};

double held_by(DType dtype, double v) {
  switch (dtype) {
    case DType::f64: return v;
    case DType::f32: return static_cast<double>(static_cast<float>(v));
    case DType::bf16: return std::nearbyint(v * 64) / 64;  // from 2 to 4 its 8 bits end there; ties to even
    case DType::i64:
    case DType::i32:
    case DType::u8: return std::trunc(v);
    case DType::boolean: return v != 0 ? 1 : 0;
  }
  return v;
}

}  // namespace

TEST_CASE("to: every pair of dtypes", "[tensor][cast]") {
  const Values values{0, 1, 2.703125, 3.0078125};
  for (const DType from : kEvery) {
    const Tensor x = tensor_of(values, {4}, from);
    for (const DType to : kEvery) {
      CAPTURE(name_of(from), name_of(to));
      const Tensor y = x.to(to);
      CHECK(y.dtype() == to);
      Values wanted;
      for (const double v : values) wanted.push_back(held_by(to, held_by(from, v)));
      CHECK(y.to_vector() == wanted);
    }
  }
}

TEST_CASE("to: gradients of first and second order, in the dtypes of their inputs", "[autograd][cast]") {
  for (const DType from : {DType::f64, DType::f32, DType::bf16}) {
    for (const DType to_dtype : {DType::f64, DType::f32, DType::bf16}) {
      CAPTURE(name_of(from), name_of(to_dtype));
      const Variable x(full({2}, 0.5, from), true);
      const Variable y = sum(square(to(x, to_dtype)) * to(x, to_dtype));
      CHECK(y.dtype() == to_dtype);
      const Variable first = grad(y, {{x}}, {}, {.create_graph = true})[0];
      CHECK(first.dtype() == from);
      CHECK(first.tensor().to_vector() == Values{0.75, 0.75});  // 3 x^2
      const Variable second = grad(sum(first), {{x}})[0];
      CHECK(second.dtype() == from);
      CHECK(second.tensor().to_vector() == Values{3, 3});  // 6 x
    }
  }
  CHECK_FALSE(to(Variable(full({2}, 0.5), true), DType::i64).requires_grad());
}
