// Tensors, and gradients of any order: what everything else here is built on, in forty lines.
#include <cmath>
#include <cstdio>

#include "autograd/variable.h"

using namespace sfumato;

namespace {
void show(const char* what, const Tensor& tensor) { std::printf("%-24s %s\n", what, to_string(tensor).c_str()); }
}  // namespace

int main() {
  // A Tensor is a handle on memory with a shape, strides and a dtype. Views share memory, ops return new tensors, and
  // shapes broadcast as in numpy.
  const Tensor a = arange(0, 6).reshape({2, 3});
  const Tensor column = tensor_of({10, 20}, {2, 1});
  show("a", a);
  show("a transposed, a view", transpose(a, 0, 1));
  show("a + column", a + column);
  show("a a^T", matmul(a, transpose(a, 0, 1)));
  show("sum of each column", sum(a, {0}));

  // A Variable is a tensor on the tape: ops record themselves, backward() walks the record in reverse.
  Variable x(tensor_of({1, 2, 3}, {3}), /*requires_grad=*/true);
  const Variable cubes = sum(x * x * x);
  cubes.backward();
  show("d sum(x^3) / dx = 3 x^2", x.grad().tensor());

  // With create_graph a gradient is recorded too and can itself be differentiated: Newton's method finds the top of
  // sin, z <- z - sin'(z) / sin''(z), and with it pi / 2 to the last digit.
  Variable z(full({}, 1.0, DType::f64), /*requires_grad=*/true);
  for (int step = 0; step < 5; ++step) {
    const Variable slope = grad(sin(z), {{z}}, {}, {.create_graph = true})[0];
    const Variable curvature = grad(slope, {{z}})[0];
    z = Variable((z - slope / curvature).tensor(), /*requires_grad=*/true);
    std::printf("Newton step %d             z = %.15f\n", step + 1, z.item());
  }
  return std::abs(z.item() - std::acos(0.0)) < 1e-15 ? 0 : 1;
}
