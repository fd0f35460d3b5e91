// A network of three layers learns sin(x) on [-3, 3]: tensors, autograd, layers and an optimiser in 30 lines.
#include <cstdio>

#include "nn/init.h"
#include "nn/layers.h"
#include "nn/optim/optimizer.h"
#include "tensor/random.h"

using namespace sfumato;

int main() {
  Sequential net(Linear(1, 32), SiLU(), Linear(32, 32), SiLU(), Linear(32, 1));
  initialize(net, /*seed=*/0);
  FlatParameters flat(net);
  Adam adam(flat, {.lr = 1e-2});

  double loss = 0;
  for (int64_t step = 0; step < 500; ++step) {
    RandomScope scope({.seed = 1, .step = step});
    const Tensor x = affine(rand({64, 1}, "x"), 6, -3);
    const Variable error = mse_loss(net(x), sin(x));
    flat.zero_grad();
    error.backward();
    adam.step();
    loss = error.item();
    if (step % 100 == 0) {
      std::printf("step %3d  loss %.5f\n", static_cast<int>(step), loss);
    }
  }
  std::printf("sin(1) = 0.84147, the network says %.5f (loss %.6f)\n", net(full({1, 1}, 1.0)).item(), loss);
  return loss < 1e-2 ? 0 : 1;
}
