// The U-Net as a whole: its size, its names, and what a training step costs besides arithmetic. Its values are compared
// with diffusers' in the golden tests.
#include "diffusion/model/unet.h"

#include <cmath>

#include "catch.h"
#include "nn/optim/clip.h"
#include "nn/optim/ema.h"
#include "nn/optim/optimizer.h"
#include "tensor/allocator.h"
#include "tensor/backend/backend.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

#ifdef SFUMATO_FAST
#include "tensor/backend/onednn/engine.h"
#endif

using namespace sfumato;

namespace {

// All parts of the family: attention in the middle level, changes of width, dropout.
UNetConfig small_config() {
  UNetConfig config{.sample_size = 16,
                    .in_channels = 1,
                    .out_channels = 1,
                    .block_out_channels = {16, 32, 32},
                    .layers_per_block = 1,
                    .norm_num_groups = 8,
                    .dropout = 0.1};
  config.set_levels({false, true, false});
  return config;
}

// What one training step does, as the training loop does it.
struct Training {
  UNet net{small_config()};
  FlatParameters flat{initialized()};
  Adam adam{flat, {.lr = 1e-3}};
  Ema ema{flat, {.decay = 0.99}};
  int64_t count = 0;
  double loss = 0;

  UNet& initialized() {
    initialize(net, 0);
    return net;
  }
  void step() {
    RandomScope scope({.seed = 1, .step = count++});
    const Tensor x = randn({4, 1, 16, 16}, "x"), noise = randn({4, 1, 16, 16}, "noise");
    const Tensor t = randint(0, 1000, {4}, "t");
    flat.zero_grad();
    const Variable error = mse_loss(net(Variable(x), t), Variable(noise));
    error.backward();
    const double norm = gradient_norm(flat.gradients());
    adam.step(flat.gradients(), 1e-3, clip_coefficient(norm, 1.0));
    ema.update();
    loss = error.item();
  }
};

double largest(const Tensor& x) { return amax(abs(x)).item(); }

}  // namespace

TEST_CASE("unet: the network of Ho et al. for CIFAR-10 has 35,746,307 parameters", "[diffusion][unet]") {
  const UNet net(UNetConfig{});
  CHECK(net.num_parameters() == 35746307);
}

TEST_CASE("unet: a fresh network predicts zero, and training moves it", "[diffusion][unet]") {
  // conv_out starts at zero (Ho et al.); with it at zero only its own gradient is not.
  Training training;
  training.net.eval();
  const Tensor x = randn({2, 1, 16, 16}, "x");
  const Variable y = training.net(Variable(x), tensor_of({0, 999}, {2}, DType::i64));
  CHECK(y.shape() == Shape{2, 1, 16, 16});
  CHECK(largest(y.tensor()) == 0);
  training.net.train();
  for (int i = 0; i < 3; ++i) training.step();
  CHECK(largest(training.net(Variable(x), tensor_of({0, 999}, {2}, DType::i64)).tensor()) > 0);
}

TEST_CASE("unet: inputs of the wrong shape are refused", "[diffusion][unet]") {
  UNet net(small_config());
  initialize(net, 0);
  const Tensor t = zeros({2}, DType::i64);
  CHECK_THROWS_AS(net(Variable(zeros({2, 3, 16, 16})), t), Error);
  CHECK_THROWS_AS(net(Variable(zeros({2, 1, 18, 16})), t), Error);
  CHECK_THROWS_AS(net(Variable(zeros({3, 1, 16, 16})), t), Error);
  CHECK_THROWS_AS(net(Variable(zeros({1, 16, 16})), t), Error);
}

TEST_CASE("unet: samples of a batch do not see each other", "[diffusion][unet]") {
  UNet net(small_config());
  initialize(net, 0);
  for (auto& parameter : net.parameters()) {  // so that conv_out is not zero
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), "weights") * 0.2);
  }
  net.eval();
  NoGradGuard off;
  const Tensor x = randn({3, 1, 16, 16}, "x"), t = tensor_of({5, 500, 900}, {3}, DType::i64);
  const Tensor all = net(Variable(x), t).tensor();
  for (int64_t i = 0; i < 3; ++i) {
    const Tensor alone = net(Variable(narrow(x, 0, i, 1).contiguous()), narrow(t, 0, i, 1).contiguous()).tensor();
    CHECK(largest(sub(alone, narrow(all, 0, i, 1))) <= 1e-5 * largest(all));
  }
  CHECK(largest(all) > 0);
}

#ifdef SFUMATO_FAST
TEST_CASE("unet: a training step runs on the fast backend alone and, once warm, costs only arithmetic",
          "[diffusion][unet]") {
  BackendScope scope(Backend::fast);
  Training training;
  training.step();
  training.step();
  reset_fallback_count();
  const uint64_t primitives = onednn_primitives_created(), system_calls = allocator_stats().system_calls;
  const size_t live = allocator_stats().live_bytes;
  for (int i = 0; i < 3; ++i) training.step();
  CHECK(fallback_count() == 0);
  CHECK(onednn_primitives_created() == primitives);
  CHECK(allocator_stats().system_calls == system_calls);
  CHECK(allocator_stats().live_bytes == live);  // nothing grows from step to step
  CHECK(std::isfinite(training.loss));
}
#endif
