#include "diffusion/pipeline/foreign_names.h"

#include <fmt/format.h>

#include <regex>

namespace sfumato {
namespace {

constexpr NamePair kOpenaiLayers[] = {
    {"input_blocks.0.0", "conv_in"},
    {"time_embed.0", "time_embedding.linear_1"},
    {"time_embed.2", "time_embedding.linear_2"},
    {"label_emb", "class_embedding"},
    {"out.0", "conv_norm_out"},
    {"out.2", "conv_out"},
};
constexpr NamePair kOpenaiResnet[] = {
    {"in_layers.0", "norm1"},  {"in_layers.2", "conv1"},  {"emb_layers.1", "time_emb_proj"},
    {"out_layers.0", "norm2"}, {"out_layers.3", "conv2"}, {"skip_connection", "conv_shortcut"},
};
constexpr NamePair kOpenaiAttention[] = {
    {"norm", "group_norm"}, {"qkv", "to_q"}, {"qkv", "to_k"}, {"qkv", "to_v"}, {"proj_out", "to_out.0"},
};

constexpr NamePair kHoLayers[] = {
    {"conv_in", "conv_in"},
    {"temb.dense.0", "time_embedding.linear_1"},
    {"temb.dense.1", "time_embedding.linear_2"},
    {"norm_out", "conv_norm_out"},
    {"conv_out", "conv_out"},
};
constexpr NamePair kHoResnet[] = {
    {"norm1", "norm1"}, {"conv1", "conv1"}, {"temb_proj", "time_emb_proj"},
    {"norm2", "norm2"}, {"conv2", "conv2"}, {"nin_shortcut", "conv_shortcut"},
};
constexpr NamePair kHoAttention[] = {
    {"norm", "group_norm"}, {"q", "to_q"}, {"k", "to_k"}, {"v", "to_v"}, {"proj_out", "to_out.0"},
};

constexpr Naming kOpenai{
    .layers = kOpenaiLayers,
    .down_resnet = {"input_blocks.{in}.0", "down_blocks.{level}.resnets.{i}"},
    .down_attention = {"input_blocks.{in}.1", "down_blocks.{level}.attentions.{i}"},
    .downsample = {"input_blocks.{in}.0.op", "down_blocks.{level}.downsamplers.0.conv"},
    .resnet_downsample = {"input_blocks.{in}.0", "down_blocks.{level}.downsamplers.0"},
    .mid_resnet_1 = {"middle_block.0", "mid_block.resnets.0"},
    .mid_attention = {"middle_block.1", "mid_block.attentions.0"},
    .mid_resnet_2 = {"middle_block.2", "mid_block.resnets.1"},
    .up_resnet = {"output_blocks.{out}.0", "up_blocks.{up}.resnets.{i}"},
    .up_attention = {"output_blocks.{out}.1", "up_blocks.{up}.attentions.{i}"},
    .upsample = {"output_blocks.{out}.{after}.conv", "up_blocks.{up}.upsamplers.0.conv"},
    .resnet_upsample = {"output_blocks.{out}.{after}", "up_blocks.{up}.upsamplers.0"},
    .resnet = kOpenaiResnet,
    .attention = kOpenaiAttention,
};

constexpr Naming kHo{
    .layers = kHoLayers,
    .down_resnet = {"down.{level}.block.{i}", "down_blocks.{level}.resnets.{i}"},
    .down_attention = {"down.{level}.attn.{i}", "down_blocks.{level}.attentions.{i}"},
    .downsample = {"down.{level}.downsample.conv", "down_blocks.{level}.downsamplers.0.conv"},
    .resnet_downsample = {nullptr, nullptr},
    .mid_resnet_1 = {"mid.block_1", "mid_block.resnets.0"},
    .mid_attention = {"mid.attn_1", "mid_block.attentions.0"},
    .mid_resnet_2 = {"mid.block_2", "mid_block.resnets.1"},
    .up_resnet = {"up.{level}.block.{i}", "up_blocks.{up}.resnets.{i}"},
    .up_attention = {"up.{level}.attn.{i}", "up_blocks.{up}.attentions.{i}"},
    .upsample = {"up.{level}.upsample.conv", "up_blocks.{up}.upsamplers.0.conv"},
    .resnet_upsample = {nullptr, nullptr},
    .resnet = kHoResnet,
    .attention = kHoAttention,
};

}  // namespace

const Naming& openai_naming() { return kOpenai; }
const Naming& ho_naming() { return kHo; }

std::string place(const char* pattern, const PlaceIndices& at) {
  return fmt::format(fmt::runtime(pattern), fmt::arg("level", at.level), fmt::arg("up", at.up), fmt::arg("i", at.i),
                     fmt::arg("in", at.in), fmt::arg("out", at.out), fmt::arg("after", at.after));
}

std::string port_name(std::string name) {
  if (name.find('/') == name.npos) return name;
  struct Step {
    std::regex from;
    const char* to;
  };
  static const Step steps[] = {
      {std::regex("^model/"), ""},
      {std::regex("^(down|up)_([0-9]+)/"), "$1.$2/"},
      {std::regex("^((?:down|up)\\.[0-9]+/)(block|attn)_([0-9]+)/"), "$1$2.$3/"},
      {std::regex("^temb/dense([01])/"), "temb/dense.$1/"},
      {std::regex("/(?:W|gamma)$"), "/weight"},
      {std::regex("/(?:b|beta)$"), "/bias"},
      {std::regex("/"), "."},
  };
  for (const Step& step : steps) name = std::regex_replace(name, step.from, step.to);
  return name;
}

}  // namespace sfumato
