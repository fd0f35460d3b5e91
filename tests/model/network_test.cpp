// The interface of denoising networks, the MLP for points behind it, and how both travel through model folders.
#include "diffusion/model/network.h"

#include <filesystem>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "catch.h"
#include "diffusion/model/mlp.h"
#include "diffusion/pipeline/model_folder.h"
#include "diffusion/pipeline/sample.h"
#include "io/io_testing.h"
#include "nn/init.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;
using testing::message_of;

namespace {

// With values everywhere: fresh networks have zeros where a block's output is.
MlpDenoiser small_mlp(int64_t dim = 2) {
  MlpDenoiser net({.sample_dim = dim, .width = 12, .depth = 2, .time_embedding_dim = 8});
  initialize(net, 3);
  for (Variable& parameter : net.parameters()) {
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), "weights") * 0.3);
  }
  return net;
}

double largest_difference(const Tensor& a, const Tensor& b) { return amax(abs(sub(a, b))).item(); }

}  // namespace

TEST_CASE("network: config.json decides the class; a name that is not known is refused", "[diffusion][network]") {
  const auto mlp = network_from_json(R"({"_class_name": "MlpDenoiser", "width": 32, "sample_dim": 3})", "c.json");
  CHECK(mlp->class_name() == "MlpDenoiser");
  CHECK(mlp->sample_shape() == Shape{3});
  const auto unet = network_from_json(
      R"({"sample_size": 8, "block_out_channels": [32], "down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]})",
      "c.json");
  CHECK(unet->class_name() == "UNet2DModel");
  CHECK(unet->sample_shape() == Shape{3, 8, 8});
  CHECK_THAT(
      message_of<Error>([] { network_from_json(R"({"_class_name": "DiT"})", "c.json"); }),
      ContainsSubstring("c.json") && ContainsSubstring("'DiT'") && ContainsSubstring("UNet2DModel, MlpDenoiser"));
  CHECK_THAT(message_of<Error>([] { network_from_json(R"({"_class_name": 7})", "c.json"); }),
             ContainsSubstring("must be a string"));
  CHECK_THAT(message_of<Error>([] { network_from_json("[1]", "c.json"); }), ContainsSubstring("c.json"));
}

TEST_CASE("mlp: its configuration goes to JSON and back; bad ones are refused", "[diffusion][network]") {
  const MlpConfig config{.sample_dim = 5, .width = 7, .depth = 0, .time_embedding_dim = 6};
  const MlpConfig back = MlpConfig::from_json(config.to_json(), "config.json");
  CHECK(back.to_json() == config.to_json());
  CHECK(back.time_embedding_dim == 6);
  CHECK_THAT(message_of<Error>([] { MlpConfig::from_json(R"({"widht": 3})", "c.json"); }),
             ContainsSubstring("c.json: field 'widht'"));
  CHECK_THAT(message_of<Error>([] { MlpConfig::from_json(R"({"width": 2.5})", "c.json"); }),
             ContainsSubstring("must be an integer"));
  CHECK_THAT(message_of<Error>([] { MlpDenoiser net({.time_embedding_dim = 7}); }), ContainsSubstring("must be even"));
  CHECK_THAT(message_of<Error>([] { MlpDenoiser net({.width = 0}); }), ContainsSubstring("width"));
}

TEST_CASE("mlp: inputs of the wrong shape are refused by name", "[diffusion][network]") {
  const MlpDenoiser net = small_mlp();
  const Tensor t = zeros({4});
  CHECK_THROWS_WITH(net(zeros({4, 3}), t), ContainsSubstring("(N, 2), got (4, 3)"));
  CHECK_THROWS_WITH(net(zeros({3, 2}), t), ContainsSubstring("t must be (3)"));
  CHECK_THROWS_AS(net(zeros({4, 2, 1, 1}), t), Error);
}

TEST_CASE("mlp: gradients of input and parameters are right", "[diffusion][network]") {
  MlpDenoiser net = small_mlp();
  net.to(DType::f64);
  const Tensor x = randn({3, 2}, "x", DType::f64), t = tensor_of({0, 17, 999}, {3}, DType::f64);
  std::string why;
  CHECK(gradcheck([&](std::span<const Variable> in) { return net(in[0], t); }, {x}, {}, &why));
  INFO(why);
  // A parameter in the middle, by way of a network whose weight is the input.
  Variable weight = net.blocks[0].time_proj.weight.handle();
  const Tensor kept = weight.tensor().clone();
  const auto loss_at = [&](double shift) {
    Tensor moved = weight.tensor();
    moved.copy_from(kept);
    moved.mutable_data<double>()[5] += shift;
    return sum(square(net(x, t))).item();
  };
  const double numeric = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6;
  loss_at(0);
  sum(square(net(x, t))).backward();
  CHECK(weight.grad().tensor().to_vector()[5] == Approx(numeric).epsilon(1e-6));
}

TEST_CASE("mlp: a model folder keeps the network and its schedule; samples do not depend on their neighbours",
          "[diffusion][network]") {
  const testing::TemporaryFolder folder;
  const MlpDenoiser net = small_mlp();
  SchedulerConfig scheduler;
  scheduler.clip_sample = false;
  save_pipeline(folder / "model", net, net.state_dict(), scheduler);
  CHECK(std::filesystem::exists(folder / "model" / "mlp" / "config.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "model" / "unet"));

  const Pipeline loaded = load_pipeline(folder / "model");
  const Tensor x = randn({5, 2}, "x"), t = full({5}, 300.0);
  CHECK(largest_difference((*loaded.network)(x, t).tensor(), net(x, t).tensor()) == 0);

  const SampleOptions options{.num = 1500, .sampler = "ddim", .steps = 3, .seed = 5};  // more than one chunk
  const Tensor many = draw_samples(loaded, options);
  CHECK(many.shape() == Shape{1500, 2});
  SampleOptions few = options;
  few.num = 3;
  CHECK(largest_difference(draw_samples(loaded, few), narrow(many, 0, 0, 3)) == 0);
}
