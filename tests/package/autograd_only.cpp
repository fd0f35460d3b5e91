// The smallest program on the installed library: a gradient.
#include <cstdio>

#include "autograd/variable.h"
#include "tensor/tensor.h"

using namespace sfumato;

int main() {
  const Tensor nothing;
  Variable x(full({3}, 2.0), /*requires_grad=*/true);
  Variable y = sum(mul(x, x));
  y.backward();
  const bool right = !nothing.defined() && y.item() == 12 && x.grad().tensor().to_vector() == std::vector<double>(3, 4);
  std::printf("d/dx sum(x * x) = %s\n", to_string(x.grad().tensor()).c_str());
  return right ? 0 : 1;
}
