// How other programs name the parts of the U-Net, as tables: a place for each part, and the layers within residual
// blocks and attention.
//
//   const Naming& naming = openai_naming();
//   place(naming.down_resnet.theirs, {.level = 1, .i = 0, .in = 4})        // "input_blocks.4.0"
//   place(naming.down_resnet.ours, {.level = 1, .i = 0, .in = 4})          // "down_blocks.1.resnets.0"
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace sfumato {

// What may stand in braces: the level from the finest and from the coarsest on, the block within it, the running
// numbers of OpenAI's input and output blocks, and the place of an upsampler in its output block.
struct PlaceIndices {
  size_t level = 0, up = 0, i = 0, in = 0, out = 0, after = 0;
};

struct NamePair {
  const char* theirs;
  const char* ours;
};

struct Naming {
  std::span<const NamePair> layers;  // single layers outside of the levels
  NamePair down_resnet, down_attention, downsample, resnet_downsample;
  NamePair mid_resnet_1, mid_attention, mid_resnet_2;
  NamePair up_resnet, up_attention, upsample, resnet_upsample;
  std::span<const NamePair> resnet;     // layers of a residual block
  std::span<const NamePair> attention;  // of an attention block; to_q, to_k and to_v may share one
};

const Naming& openai_naming();
const Naming& ho_naming();

std::string place(const char* pattern, const PlaceIndices& indices);

// A variable of Ho et al.'s TensorFlow code under the name of the PyTorch port: "model/down_0/block_1/conv1/W" is
// "down.0.block.1.conv1.weight". Other names stay.
std::string port_name(std::string name);

}  // namespace sfumato
