// What a network and a training step cost, counted in a dry run, against known figures and the real thing.
#include "diffusion/model/cost.h"

#include <cmath>

#include "catch.h"
#include "diffusion/model/unet.h"
#include "diffusion/train/plan.h"
#include "diffusion/train/trainer.h"
#include "nn/data/loader.h"
#include "tensor/allocator.h"
#include "tensor/random.h"

using namespace sfumato;

TEST_CASE("forward_cost: the network of Ho et al. for CIFAR-10 takes 6.222 GMAC", "[diffusion][cost]") {
  const TrainConfig config = TrainConfig::from_toml(preset_text("cifar10-ddpm"), "preset");
  const auto network = config.make_network({3, 32, 32});
  const auto tree = forward_cost(*network);
  REQUIRE_FALSE(tree.empty());
  CHECK(tree[0].path.empty());
  CHECK(tree[0].parameters == 35746307);
  CHECK(std::round(tree[0].flops / 2 * 1e-6) == 6222);
}

TEST_CASE("forward_cost: modules get what their ops cost, and parents the sum of their children", "[diffusion][cost]") {
  UNetConfig config{.sample_size = 8,
                    .in_channels = 1,
                    .out_channels = 1,
                    .block_out_channels = {8, 16},
                    .layers_per_block = 1,
                    .norm_num_groups = 4};
  config.set_levels({false, true});
  UNet net(config);
  const auto tree = forward_cost(net, /*batch=*/3);
  const auto find = [&](const std::string& path) {
    for (const ModuleCost& cost : tree) {
      if (cost.path == path) return cost;
    }
    FAIL("no module " << path);
    return ModuleCost{};
  };
  CHECK(find("conv_in").flops == 2.0 * 3 * 64 * 8 * 9);
  CHECK(find("conv_in").leaf);
  CHECK(find("down_blocks.0.downsamplers.0.conv").flops == 2.0 * 3 * 16 * 8 * 8 * 9);
  CHECK(find("time_embedding.linear_1").flops == 2.0 * 3 * 8 * 32);
  CHECK(find("mid_block.attentions.0.to_q").flops == 2.0 * 3 * 16 * 16 * 16);
  // Products of queries with keys and of weights with values belong to the block itself.
  const ModuleCost attention = find("mid_block.attentions.0");
  CHECK(attention.flops == 4 * find("mid_block.attentions.0.to_q").flops + 2 * (2.0 * 3 * 16 * 16 * 16));

  double leaves = 0;
  int64_t parameters = 0;
  for (const ModuleCost& cost : tree) {
    leaves += cost.leaf ? cost.flops : 0;
    parameters += cost.leaf ? cost.parameters : 0;
  }
  const double products = 2 * (2.0 * 3 * 16 * 16 * 16) * 4;  // in four attention blocks: down, mid, and two going up
  CHECK(tree[0].flops == leaves + products);
  CHECK(tree[0].parameters == parameters);
  CHECK(forward_cost(net, 1)[0].flops * 3 == tree[0].flops);
}

namespace {

TrainConfig small_config(const std::string& network) {
  TrainConfig config;
  config.network = network;
  config.block_out_channels = {32, 64};
  config.attention = {false, true};
  config.layers_per_block = 1;
  config.norm_num_groups = 8;
  config.dropout = 0.1;
  config.batch_size = 16;
  config.micro_batch = 4;
  return config;
}

// The allocator's peak during the third of three real steps, above what lived before.
size_t measured_peak(const TrainConfig& config, const Shape& sample) {
  const size_t before = allocator_stats().live_bytes;
  Shape batch = sample;
  batch.insert(0, config.batch_size);
  std::vector<Tensor> batches;  // what a loader holds
  for (int i = 0; i <= LoaderOptions{}.prefetch; ++i) batches.push_back(randn(batch, "images"));
  Trainer trainer(config, sample);
  trainer.step(batches[0]);
  trainer.step(batches[1]);
  reset_peak();
  trainer.step(batches[2]);
  return allocator_stats().peak_bytes - before;
}

}  // namespace

TEST_CASE("plan_step: the predicted peak memory is that of the real step", "[diffusion][cost]") {
  const MachineRates machine{.matmul_flops = 1e11, .bytes_per_second = 1e10};
  const auto [network, sample, checkpointing] = GENERATE(table<std::string, Shape, bool>(
      {{"unet", {3, 16, 16}, false}, {"unet", {3, 16, 16}, true}, {"mlp", {2}, false}}));
  CAPTURE(network, checkpointing);
  TrainConfig config = small_config(network);
  config.gradient_checkpointing = checkpointing;
  const StepPlan plan = plan_step(config, sample, machine);
  const size_t measured = measured_peak(config, sample);
  CHECK(static_cast<double>(plan.peak_bytes) == Approx(static_cast<double>(measured)).epsilon(0.01));
  CHECK(plan.state_bytes < plan.peak_bytes);
  // Weights, their average, two moments and at least one set of gradients.
  CHECK(plan.state_bytes >= static_cast<size_t>(5 * 4 * plan.parameters));
  CHECK(plan.seconds > 0);
  // A backward pass costs twice the forward pass, but for the first layer's input, and once more what is computed
  // again.
  const double forward = plan.forward_macs * 2 * static_cast<double>(config.batch_size);
  CHECK(plan.step_flops > (checkpointing ? 3.6 : 2.8) * forward);
  CHECK(plan.step_flops <= (checkpointing ? 4.01 : 3.01) * forward);
}
