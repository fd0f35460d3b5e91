// The members of the U-Net's family: each variant's gradients in f64, what it takes and refuses, and what its names
// are. Their values are compared with diffusers' in the golden tests.
#include <algorithm>

#include "autograd/gradcheck.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "catch.h"
#include "diffusion/model/cost.h"
#include "diffusion/model/unet.h"
#include "diffusion/train/trainer.h"
#include "io/io_testing.h"
#include "nn/init.h"
#include "tensor/ops/elementwise.h"
#include "tensor/ops/reduce.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;
using testing::message_of;

namespace {

UNetConfig tiny(Resampling resampling = Resampling::conv) {
  UNetConfig config{.sample_size = 4,
                    .in_channels = 2,
                    .out_channels = 2,
                    .block_out_channels = {4, 8},
                    .layers_per_block = 1,
                    .norm_num_groups = 2};
  config.set_levels({false, true}, resampling);
  return config;
}

// The variants, each with the labels that it takes for a batch of two.
struct Variant {
  const char* name;
  UNetConfig config;
  Tensor labels;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  const Tensor classes = tensor_of({2, 0}, {2}, DType::i64);
  all.push_back({"Ho", tiny(), {}});
  UNetConfig adm = tiny(Resampling::resnet);
  adm.resnet_time_scale_shift = "scale_shift";
  adm.num_class_embeds = 3;
  adm.attention_head_dim = 4;
  adm.out_channels = 4;
  all.push_back({"ADM", adm, classes});
  UNetConfig fourier = tiny();
  fourier.time_embedding_type = "fourier";
  fourier.mid_block_scale_factor = 1.5;
  fourier.downsample_padding = 1;
  all.push_back({"Fourier", fourier, {}});
  UNetConfig timestep = tiny();
  timestep.class_embed_type = "timestep";
  timestep.act_fn = "mish";
  timestep.add_attention = false;
  timestep.time_embedding_dim = 6;
  all.push_back({"class as a time", timestep, classes});
  UNetConfig identity = tiny();
  identity.class_embed_type = "identity";
  identity.act_fn = "gelu";
  identity.mid_block_type.reset();
  identity.center_input_sample = true;
  identity.sample_width = 6;
  all.push_back({"class as a vector", identity, randn({2, 16}, "labels", DType::f64)});
  return all;
}

// With values everywhere: fresh networks have zeros where a block's output is.
void scatter_weights(UNet& net) {
  initialize(net, 3);
  for (const auto& [name, parameter] : net.named_parameters()) {
    Tensor values = parameter.tensor();
    values.copy_from(randn(values.shape(), RandomStream::of("weights", name)) * 0.3);
  }
}

Shape batch_of(const UNet& net, int64_t count = 2) {
  Shape shape = net.sample_shape();
  shape.insert(0, count);
  return shape;
}

// The derivative of sum(square(net)) by one entry of every parameter: the tape's against central differences.
double worst_parameter(UNet& net, const Tensor& x, const Tensor& t, const Tensor& labels) {
  const auto loss = [&] { return sum(square(net(x, t, labels))); };
  net.zero_grad();
  loss().backward();
  double worst = 0;
  for (const auto& [name, parameter] : net.named_parameters()) {
    Tensor values = parameter.tensor();
    const int64_t at = values.numel() / 3;
    const double kept = values.to_vector()[static_cast<size_t>(at)];
    const auto loss_at = [&](double value) {
      const NoGradGuard off;
      values.mutable_data<double>()[at] = value;
      return loss().item();
    };
    const double numeric = (loss_at(kept + 1e-6) - loss_at(kept - 1e-6)) / 2e-6;
    loss_at(kept);
    const double ours = parameter.grad().tensor().to_vector()[static_cast<size_t>(at)];
    worst = std::max(worst, std::abs(ours - numeric) / std::max(1.0, std::abs(numeric)));
  }
  return worst;
}

}  // namespace

TEST_CASE("unet family: gradients of input and every parameter are right in f64", "[diffusion][unet]") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    UNet net(variant.config);
    scatter_weights(net);
    net.to(DType::f64);
    const Tensor x = randn(batch_of(net), "x", DType::f64), t = tensor_of({17, 500}, {2}, DType::f64);
    CHECK(net(x, t, variant.labels).size(1) == variant.config.out_channels);
    std::string why;
    CHECK(gradcheck([&](std::span<const Variable> in) { return net(in[0], t, variant.labels); }, {x}, {}, &why));
    CHECK(why.empty());
    CHECK(worst_parameter(net, x, t, variant.labels) < 1e-5);
  }
}

TEST_CASE("unet family: labels are told apart, and those that do not fit are refused by name", "[diffusion][unet]") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    UNet net(variant.config);
    scatter_weights(net);
    const Tensor x = randn(batch_of(net), "x"), t = full({2}, 10.0);
    if (!variant.labels.defined()) {
      CHECK_THAT(message_of<Error>([&] { net(x, t, zeros({2}, DType::i64)); }), ContainsSubstring("takes no labels"));
      continue;
    }
    const Tensor y = net(x, t, variant.labels).tensor();
    const Tensor swapped = cat({narrow(variant.labels, 0, 1, 1), narrow(variant.labels, 0, 0, 1)}, 0);
    CHECK(amax(abs(sub(net(x, t, swapped).tensor(), y))).item() > 1e-3);
    CHECK_THAT(message_of<Error>([&] { net(x, t); }), ContainsSubstring("labels are missing"));
    CHECK_THAT(message_of<Error>([&] { net(x, t, zeros({3}, DType::i64)); }), ContainsSubstring("labels must be"));
  }
  UNetConfig config = tiny();
  config.num_class_embeds = 3;
  UNet net(config);
  scatter_weights(net);
  const auto with = [&](const Tensor& labels) {
    return message_of<Error>([&] { net(randn(batch_of(net), "x"), full({2}, 10.0), labels); });
  };
  CHECK_THAT(with(tensor_of({0, 3}, {2}, DType::i64)), ContainsSubstring("label 3 is not in 0..2"));
  CHECK_THAT(with(tensor_of({-1, 0}, {2}, DType::i64)), ContainsSubstring("label -1"));
  CHECK_THAT(with(zeros({2})), ContainsSubstring("must be i64"));
}

TEST_CASE("unet family: names are those of diffusers, and frequencies are saved but not trained", "[diffusion][unet]") {
  const auto names_of = [](const UNetConfig& config) {
    UNet net(config);
    initialize(net, 0);
    std::vector<std::string> names;
    for (const auto& [name, tensor] : net.state_dict()) names.push_back(name);
    return names;
  };
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const auto all = variants();
  const auto adm = names_of(all[1].config), fourier = names_of(all[2].config), timestep = names_of(all[3].config),
             identity = names_of(all[4].config);
  CHECK(has(adm, "class_embedding.weight"));
  CHECK(has(adm, "down_blocks.0.downsamplers.0.time_emb_proj.weight"));
  CHECK(has(adm, "up_blocks.0.upsamplers.0.conv2.bias"));
  CHECK_FALSE(has(adm, "down_blocks.0.downsamplers.0.conv.weight"));
  CHECK_FALSE(has(adm, "mid_block.attentions.0.group_norm.weight"));
  CHECK(has(fourier, "time_proj.weight"));
  CHECK(has(fourier, "mid_block.attentions.0.group_norm.weight"));
  CHECK(has(timestep, "class_embedding.linear_2.bias"));
  CHECK_FALSE(has(timestep, "mid_block.attentions.0.to_q.weight"));
  CHECK(has(timestep, "mid_block.resnets.1.conv2.weight"));
  CHECK_FALSE(has(identity, "mid_block.resnets.0.conv1.weight"));
  UNet net(all[2].config);
  initialize(net, 0);
  for (const auto& [name, parameter] : net.named_parameters()) CHECK(name != "time_proj.weight");
}

TEST_CASE("unet family: Fourier features take positive times only", "[diffusion][unet]") {
  UNetConfig config = tiny();
  config.time_embedding_type = "fourier";
  UNet net(config);
  scatter_weights(net);
  const Tensor x = randn(batch_of(net), "x");
  CHECK_THAT(message_of<Error>([&] { net(x, tensor_of({3, 0}, {2}, DType::f32)); }), ContainsSubstring("positive"));
  // Without the Fourier features' own numbers: a network that ignores t is divided by it.
  for (const auto& [name, parameter] : net.named_parameters()) {
    if (name.starts_with("time_embedding.linear_2")) Tensor(parameter.tensor()).copy_from(zeros(parameter.shape()));
  }
  const Tensor at_1 = net(x, full({2}, 1.0)).tensor(), at_4 = net(x, full({2}, 4.0)).tensor();
  CHECK(amax(abs(sub(at_4 * 4.0, at_1))).item() <= 1e-6 * amax(abs(at_1)).item());
}

TEST_CASE("unet family: any number of channels, and sides that the strides divide", "[diffusion][unet]") {
  UNetConfig config = tiny();
  config.in_channels = 5;
  config.out_channels = 7;
  UNet net(config);
  initialize(net, 0);
  CHECK(net(zeros({1, 5, 6, 10}), zeros({1})).shape() == Shape{1, 7, 6, 10});
  CHECK_THAT(message_of<Error>([&] {
               net(zeros({1, 5, 6, 9}), zeros({1}));
             }),
             ContainsSubstring("divisible by 2") && ContainsSubstring("6 x 9"));
}

TEST_CASE("unet family: what each costs can be told without weights or labels", "[diffusion][unet][cost]") {
  for (const Variant& variant : variants()) {
    CAPTURE(variant.name);
    UNet net(variant.config);
    CHECK(forward_cost(net)[0].flops > 0);
  }
}

TEST_CASE("trainer: labels are learned, dropped ones as the null label", "[diffusion][train]") {
  TrainConfig config;
  config.block_out_channels = {8, 8};
  config.attention = {false, true};
  config.layers_per_block = 1;
  config.norm_num_groups = 4;
  config.batch_size = 8;
  config.micro_batch = 4;
  config.lr = 1e-2;
  config.class_conditional = true;
  config.num_classes = 3;
  const Tensor x0 = randn({8, 1, 8, 8}, "x0"), labels = tensor_of({0, 1, 0, 1, 0, 1, 0, 1}, {8}, DType::i64);
  // Which rows of the class embedding move in a few steps.
  const auto moved = [&](double dropout) {
    config.label_dropout = dropout;
    Trainer trainer(config, {1, 8, 8});
    const auto row_sums = [&] {
      const CheckpointContents state = trainer.checkpoint();
      for (const auto& [name, tensor] : state.weights) {
        if (name == "class_embedding.weight") return sum(tensor, {1}).to_vector();
      }
      return std::vector<double>();
    };
    const auto before = row_sums();
    for (int i = 0; i < 4; ++i) trainer.step(x0, labels);
    const auto after = row_sums();
    std::vector<bool> rows;
    for (size_t i = 0; i < after.size(); ++i) rows.push_back(after[i] != before[i]);
    return rows;
  };
  CHECK(moved(0) == std::vector<bool>{true, true, false});
  CHECK(moved(1) == std::vector<bool>{false, false, false, true});
  CHECK(moved(0.5) == std::vector<bool>{true, true, false, true});
  Trainer trainer(config, {1, 8, 8});
  CHECK_THAT(message_of<Error>([&] { trainer.step(x0); }), ContainsSubstring("labels"));
  config.class_conditional = false;
  config.num_classes = 0;
  config.label_dropout = 0;
  Trainer free(config, {1, 8, 8});
  CHECK_THAT(message_of<Error>([&] { free.step(x0, labels); }), ContainsSubstring("labels"));
}
