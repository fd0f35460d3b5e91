// Gradient checkpointing of the U-Net's blocks: the same bits as without, in less memory, and no trace in the model.
#include "catch.h"

#include "diffusion/model/unet.h"
#include "nn/init.h"
#include "tensor/allocator.h"
#include "tensor/random.h"
#include "tests/ops/table/check.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

UNetConfig small(bool checkpointing) {
  UNetConfig config;
  config.sample_size = 16;
  config.in_channels = config.out_channels = 1;
  config.block_out_channels = {8, 16, 16};
  config.norm_num_groups = 4;
  config.attention_head_dim = 4;
  config.dropout = 0.3;
  config.num_class_embeds = 3;
  config.gradient_checkpointing = checkpointing;
  config.set_levels({false, true, false});
  return config;
}

UNetConfig adm(bool checkpointing) {
  UNetConfig config = small(checkpointing);
  config.resnet_time_scale_shift = "scale_shift";
  config.set_levels({false, true, true}, Resampling::resnet);
  return config;
}

// The bytes that a forward pass leaves for the backward pass, and then the gradients of the input and all parameters.
std::vector<Tensor> gradients(const UNetConfig& config, size_t& kept) {
  UNet net(config);
  initialize(net, 3);
  for (const auto& [name, parameter] : net.named_parameters()) {  // fresh networks have zeros at their blocks' ends
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), RandomStream::of("weights", name)) * 0.1);
  }
  const Variable x(randn({2, 1, 16, 16}, "x"), true);
  const Tensor t = tensor_of({17, 500}, {2}), labels = tensor_of({0, 2}, {2}, DType::i64);
  const RandomScope scope({.seed = 5});
  const size_t before = allocator_stats().live_bytes;
  const Variable loss = sum(square(net(x, t, labels)));
  kept = allocator_stats().live_bytes - before;
  loss.backward();
  std::vector<Tensor> all{x.grad().tensor()};
  for (const auto& [name, parameter] : net.named_parameters()) {
    all.push_back(parameter.grad().tensor());
  }
  return all;
}

}  // namespace

TEST_CASE("gradient checkpointing: the same bits in less memory", "[diffusion][unet]") {
  for (const auto family : {small, adm}) {
    size_t kept = 0, kept_with = 0;
    const std::vector<Tensor> without = gradients(family(false), kept), with = gradients(family(true), kept_with);
    REQUIRE(with.size() == without.size());
    for (size_t i = 0; i < with.size(); ++i) {
      CAPTURE(i);
      CHECK(bit_difference(with[i], without[i]) == "");
    }
    CHECK(kept_with * 2 < kept);
  }
}

TEST_CASE("gradient checkpointing: is no property of the network", "[diffusion][unet]") {
  CHECK(small(true).to_json() == small(false).to_json());
  CHECK_FALSE(UNetConfig::from_json(small(true).to_json(), "config.json").gradient_checkpointing);
}
