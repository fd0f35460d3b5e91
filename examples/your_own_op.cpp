// An op from nothing: a kernel, its rule on the tape, and the proof that the rule is right, to second order.
//
// squareplus(x, b) = (x + sqrt(x^2 + b)) / 2 (Barron 2021) is a smooth relu: b = 0 is relu itself. Its slope is
// y / sqrt(x^2 + b). docs/internals/6-your-own-op.md walks through this file.
#include <cmath>
#include <cstdio>

#include "autograd/gradcheck.h"
#include "autograd/record.h"
#include "tensor/iterator.h"

using namespace sfumato;

namespace {

// The kernel: rules first, then one loop for every dtype, layout and number of threads.
Tensor squareplus(const Tensor& x, double b) {
  check_dtype("squareplus", kReals, x.dtype());
  check(b >= 0, "squareplus: b must not be negative, got ", b);
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  dispatch<kReals>("squareplus", x.dtype(), [&]<class T>() {
    const T* from = x.data<T>();
    T* to = out.mutable_data<T>();
    ElementwiseIterator(out.shape(), {&out, &x}).for_each_run(/*grain=*/1 << 12, [&](const auto& run) {
      for (int64_t i = 0; i < run.count; ++i) {
        const T v = from[run.offset[1] + i * run.stride[1]];
        to[run.offset[0] + i * run.stride[0]] = (v + std::sqrt(v * v + static_cast<T>(b))) / 2;
      }
    });
  });
  return out;
}

// The op: its value, and how the gradient of its input follows from that of its output, in Variable ops.
Variable squareplus(const Variable& x, double b) {
  return record("squareplus", squareplus(x.tensor(), b), wrt(x, [x = save(x), b](const Variable& g, const Variable& y) {
                  return g * y / sqrt(square(x()) + b);
                }));
}

}  // namespace

int main() {
  const auto f = [](std::span<const Variable> x) { return squareplus(x[0], 0.5); };
  const std::vector<Tensor> points{tensor_of({-2, -0.3, 0.1, 4}, {2, 2}, DType::f64)};
  std::string why;
  const bool right = gradcheck(f, points, {}, &why) && gradgradcheck(f, points, {}, &why);
  std::printf("squareplus(0, 0.5) = %.6f, derivatives %s %s\n", squareplus(Variable(scalar(0)), 0.5).item(),
              right ? "are right" : "are wrong:", why.c_str());
  return right ? 0 : 1;
}
