// Weights under other programs' names: a network of ours is renamed backwards by a second, independent set of rules,
// converted, and must be the same network again.
#include "diffusion/pipeline/foreign.h"

#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "catch.h"
#include "diffusion/model/unet.h"
#include "nn/init.h"
#include "tensor/ops/join.h"
#include "tensor/ops/view.h"
#include "tensor/random.h"

using namespace sfumato;

namespace {

enum class Style { openai, openai_new_order, ho_port, ho_tensorflow };

struct Case {
  Style style;
  UNetConfig config;
};

UNetConfig base_config() {
  UNetConfig config{.sample_size = 16,
                    .in_channels = 3,
                    .out_channels = 3,
                    .block_out_channels = {16, 32, 32},
                    .layers_per_block = 2,
                    .norm_num_groups = 8};
  config.set_levels({false, true, false});
  return config;
}

UNetConfig openai_config(bool adm) {
  UNetConfig config = base_config();
  config.attention_head_dim = 8;
  config.norm_eps = 1e-5;
  config.flip_sin_to_cos = true;
  config.freq_shift = 0;
  config.downsample_padding = 1;
  if (adm) {
    config.set_levels({false, true, true}, Resampling::resnet);
    config.out_channels = 6;
    config.resnet_time_scale_shift = "scale_shift";
    config.attn_norm_num_groups = 8;
    config.num_class_embeds = 5;
  }
  return config;
}

std::string replaced(const std::string& text, const std::vector<std::pair<std::string, std::string>>& steps) {
  std::string out = text;
  for (const auto& [from, to] : steps) out = std::regex_replace(out, std::regex(from), to);
  return out;
}

const std::vector<std::pair<std::string, std::string>> kResnetToOpenai{
    {"\\.norm1\\.", ".in_layers.0."},  {"\\.conv1\\.", ".in_layers.2."},  {"\\.time_emb_proj\\.", ".emb_layers.1."},
    {"\\.norm2\\.", ".out_layers.0."}, {"\\.conv2\\.", ".out_layers.3."}, {"\\.conv_shortcut\\.", ".skip_connection."},
    {"\\.group_norm\\.", ".norm."},    {"\\.to_out\\.0\\.", ".proj_out."}};

// By running numbers: the blocks are counted in the order in which OpenAI's constructor appends them.
std::string openai_name(const std::string& name, const UNetConfig& config) {
  std::string inner = replaced(name, kResnetToOpenai);
  std::smatch m;
  const bool resnet = config.downsample_type == "resnet";
  const int layers = static_cast<int>(config.layers_per_block), levels = static_cast<int>(config.levels());
  if (std::regex_match(inner, m,
                       std::regex("down_blocks\\.(\\d)\\.(resnets|attentions|downsamplers)\\.(\\d)\\.(.*)"))) {
    int number = 1;
    for (int level = 0; level < std::stoi(m[1]); ++level) number += layers + 1;
    if (m[2] == "downsamplers") {
      return fmt::format("input_blocks.{}.0.{}", number + layers,
                         resnet ? m[4].str() : std::regex_replace(m[4].str(), std::regex("^conv"), "op"));
    }
    return fmt::format("input_blocks.{}.{}.{}", number + std::stoi(m[3]), m[2] == "resnets" ? 0 : 1, m[4].str());
  }
  if (std::regex_match(inner, m, std::regex("up_blocks\\.(\\d)\\.(resnets|attentions|upsamplers)\\.(\\d)\\.(.*)"))) {
    const int block = std::stoi(m[1]);
    const bool attention = config.up_level(static_cast<size_t>(block)).attention;
    int number = 0;
    for (int earlier = 0; earlier < block; ++earlier) number += layers + 1;
    if (m[2] == "upsamplers")
      return fmt::format("output_blocks.{}.{}.{}", number + layers, attention ? 2 : 1, m[4].str());
    return fmt::format("output_blocks.{}.{}.{}", number + std::stoi(m[3]), m[2] == "resnets" ? 0 : 1, m[4].str());
  }
  CHECK(levels > 0);
  return replaced(inner, {{"^mid_block\\.resnets\\.0", "middle_block.0"},
                          {"^mid_block\\.attentions\\.0", "middle_block.1"},
                          {"^mid_block\\.resnets\\.1", "middle_block.2"},
                          {"^conv_in", "input_blocks.0.0"},
                          {"^time_embedding\\.linear_1", "time_embed.0"},
                          {"^time_embedding\\.linear_2", "time_embed.2"},
                          {"^class_embedding", "label_emb"},
                          {"^conv_norm_out", "out.0"},
                          {"^conv_out", "out.2"}});
}

const Tensor& find(const NamedTensors& tensors, const std::string& name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& entry) { return entry.first == name; });
  REQUIRE(found != tensors.end());
  return found->second;
}

// One tensor for q, k and v: all of q, then k, then v; or the three of each head in turn.
Tensor fused(const Tensor& q, const Tensor& k, const Tensor& v, bool new_order, int64_t width) {
  const Tensor parts[] = {q, k, v};
  std::vector<Tensor> rows;
  if (new_order) {
    rows.assign(std::begin(parts), std::end(parts));
  } else {
    for (int64_t row = 0; row < q.size(0); row += width) {
      for (const Tensor& part : parts) rows.push_back(narrow(part, 0, row, width));
    }
  }
  return cat(rows, 0);
}

NamedTensors to_openai(const NamedTensors& ours, const UNetConfig& config, bool new_order) {
  NamedTensors theirs;
  for (const auto& [name, tensor] : ours) {
    if (name.find("to_k") != name.npos || name.find("to_v") != name.npos) continue;
    Tensor value = tensor;
    std::string renamed = openai_name(name, config);
    if (name.find("to_q") != name.npos) {
      const auto sibling = [&](const char* which) {
        return find(ours, std::regex_replace(name, std::regex("to_q"), which));
      };
      value = fused(tensor, sibling("to_k"), sibling("to_v"), new_order, *config.attention_head_dim);
      renamed = std::regex_replace(renamed, std::regex("to_q"), "qkv");
    }
    const bool conv1d = name.find("attentions") != name.npos && value.dim() == 2;
    theirs.emplace_back(renamed, conv1d ? value.reshape({value.size(0), value.size(1), 1}) : value);
  }
  return theirs;
}

NamedTensors to_ho(const NamedTensors& ours, const UNetConfig& config, bool tensorflow) {
  NamedTensors theirs;
  for (const auto& [name, tensor] : ours) {
    std::string renamed = replaced(name, {{"^down_blocks\\.(\\d)\\.resnets", "down.$1.block"},
                                          {"^down_blocks\\.(\\d)\\.attentions", "down.$1.attn"},
                                          {"^down_blocks\\.(\\d)\\.downsamplers\\.0", "down.$1.downsample"},
                                          {"^mid_block\\.resnets\\.0", "mid.block_1"},
                                          {"^mid_block\\.resnets\\.1", "mid.block_2"},
                                          {"^mid_block\\.attentions\\.0", "mid.attn_1"},
                                          {"^time_embedding\\.linear_1", "temb.dense.0"},
                                          {"^time_embedding\\.linear_2", "temb.dense.1"},
                                          {"^conv_norm_out", "norm_out"},
                                          {"time_emb_proj", "temb_proj"},
                                          {"conv_shortcut", "nin_shortcut"},
                                          {"group_norm", "norm"},
                                          {"to_out\\.0", "proj_out"},
                                          {"to_([qkv])", "$1"}});
    std::smatch m;
    if (std::regex_match(renamed, m,
                         std::regex("up_blocks\\.(\\d)\\.(resnets|attentions|upsamplers)\\.(\\d)\\.(.*)"))) {
      const int level = static_cast<int>(config.levels()) - 1 - std::stoi(m[1]);
      renamed = m[2] == "upsamplers" ? fmt::format("up.{}.upsample.{}", level, m[4].str())
                                     : fmt::format("up.{}.{}.{}.{}", level, m[2] == "resnets" ? "block" : "attn",
                                                   m[3].str(), m[4].str());
    }
    Tensor value = tensor;
    const bool attention = name.find("attentions") != name.npos;
    if (!tensorflow) {
      if (attention && value.dim() == 2) value = value.reshape({value.size(0), value.size(1), 1, 1});
    } else {
      if (renamed.find("nin_shortcut.weight") != renamed.npos) value = value.reshape({value.size(0), value.size(1)});
      const bool norm = renamed.find("norm") != renamed.npos;
      if (value.dim() == 4) value = permute(value, {2, 3, 1, 0}).contiguous();
      if (value.dim() == 2) value = transpose(value, 0, 1).contiguous();
      renamed = "model/" + replaced(renamed, {{"^temb\\.dense\\.", "temb/dense"},
                                              {"^(down|up)\\.(\\d)\\.", "$1_$2/"},
                                              {"(block|attn)\\.(\\d)\\.", "$1_$2/"},
                                              {"\\.weight$", norm ? "/gamma" : "/W"},
                                              {"\\.bias$", norm ? "/beta" : "/b"},
                                              {"\\.", "/"}});
    }
    theirs.emplace_back(renamed, value);
  }
  return theirs;
}

NamedTensors theirs_of(const Case& c, const UNet& net) {
  const NamedTensors ours = net.state_dict();
  if (c.style == Style::ho_port || c.style == Style::ho_tensorflow) {
    return to_ho(ours, c.config, c.style == Style::ho_tensorflow);
  }
  return to_openai(ours, c.config, c.style == Style::openai_new_order);
}

ForeignModel converted(const Case& c, const NamedTensors& theirs) {
  ForeignOptions options{.sample_size = 16, .norm_num_groups = 8};
  if (c.style == Style::ho_port || c.style == Style::ho_tensorflow) return from_ho(theirs, options);
  options.num_head_channels = 8;
  options.new_attention_order = c.style == Style::openai_new_order;
  return from_openai(theirs, options);
}

// Random everywhere, so that swapped parts show: fresh networks have zeros in many places.
void randomize(UNet& net) {
  initialize(net, 1);
  RandomScope scope({.seed = 5});
  NamedTensors values = net.state_dict();
  for (auto& [name, tensor] : values) tensor.copy_from(randn(tensor.shape(), name) * 0.2);
}

std::vector<double> output_of(const UNet& net) {
  RandomScope scope({.seed = 9});
  const NoGradGuard guard;
  const Tensor x = randn({2, 3, 16, 16}, "x"), t = full({2}, 321);
  const Tensor labels = net.num_classes() > 0 ? full({2}, 3, DType::i64) : Tensor{};
  return net(Variable(x), t, labels).tensor().to_vector();
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all{{Style::openai, openai_config(false)},
                                     {Style::openai, openai_config(true)},
                                     {Style::openai_new_order, openai_config(true)},
                                     {Style::ho_port, base_config()},
                                     {Style::ho_tensorflow, base_config()}};
  return all;
}

}  // namespace

TEST_CASE("foreign weights: renamed backwards and converted, the network is the same", "[diffusion][foreign]") {
  for (const Case& c : cases()) {
    CAPTURE(static_cast<int>(c.style), c.config.downsample_type);
    UNet net(c.config);
    randomize(net);
    net.eval();
    ForeignModel model = converted(c, theirs_of(c, net));
    CHECK(model.config.to_json() == c.config.to_json());
    UNet back(model.config);
    back.load_state_dict(model.weights);
    back.eval();
    CHECK((output_of(back) == output_of(net)));
  }
}

TEST_CASE("foreign weights: a tensor without a rule, and one that is missing, are named", "[diffusion][foreign]") {
  for (const Case& c : cases()) {
    CAPTURE(static_cast<int>(c.style));
    UNet net(c.config);
    initialize(net, 1);
    NamedTensors theirs = theirs_of(c, net);
    theirs.emplace_back("ema_decay", full({1}, 1));
    std::string message;
    try {
      converted(c, theirs);
    } catch (const FormatError& error) {
      message = error.what();
    }
    CHECK_THAT(message, ContainsSubstring("no rule takes tensor 'ema_decay' (1,)"));
    theirs.pop_back();
    theirs.erase(theirs.begin());
    CHECK_THROWS_AS(converted(c, theirs), FormatError);
    CHECK_THROWS_AS(converted(c, {}), FormatError);
  }
}

TEST_CASE("foreign weights: the number of heads must be told, and be one that diffusers can say",
          "[diffusion][foreign]") {
  const UNetConfig config = openai_config(false);
  UNet net(config);
  initialize(net, 1);
  const NamedTensors theirs = to_openai(net.state_dict(), config, false);
  CHECK_THROWS_WITH(from_openai(theirs, {.sample_size = 16, .norm_num_groups = 8}), ContainsSubstring("--num-heads"));
  CHECK(from_openai(theirs, {.sample_size = 16, .norm_num_groups = 8, .num_heads = 4}).config.attention_head_dim == 8);
  CHECK_THROWS_AS(from_openai(theirs, {.sample_size = 16, .norm_num_groups = 8, .num_heads = 5}), Error);
  UNetConfig uneven = config;
  uneven.set_levels({true, false, false});
  UNet other(uneven);
  initialize(other, 1);
  const ForeignOptions heads{.sample_size = 16, .norm_num_groups = 8, .num_heads = 2};
  CHECK_THROWS_WITH(from_openai(to_openai(other.state_dict(), uneven, false), heads),
                    ContainsSubstring("2 heads at widths 16 and 32"));
}
