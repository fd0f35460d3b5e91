// Weights under other programs' names, as diffusers' UNet2DModel.
//
//   ForeignModel model = from_openai(read_tensors("cifar10_uncond_50M_500K.safetensors"),
//                                    {.sample_size = 32, .num_heads = 4});
//   UNet net(model.config);
//   net.load_state_dict(model.weights);
//
// openai: improved-diffusion and guided-diffusion (input_blocks.*, middle_block.*, output_blocks.*). ho: the network of
// Ho et al. 2020, with the variables of their TensorFlow code (model/down_0/block_0/conv1/W) or the names of its
// PyTorch port (down.0.block.0.conv1.weight). Names are mapped by tables ("diffusion/pipeline/foreign_names.h");
// widths, levels, attention and the rest of the configuration are read off names and shapes, but for what these do not
// tell.
#pragma once

#include <vector>

#include "diffusion/model/unet_config.h"
#include "tensor/io/safetensors.h"

namespace sfumato {

// What the tensors do not tell.
struct ForeignOptions {
  int64_t sample_size = 32;
  int64_t norm_num_groups = 32;
  // openai: one of these where there is attention; 0 is unknown.
  int64_t num_heads = 0;
  int64_t num_head_channels = 0;
  // openai: whether the rows of qkv are [all q | all k | all v] (use_new_attention_order) or [q k v] head by head.
  bool new_attention_order = false;
};

struct ForeignModel {
  UNetConfig config;
  NamedTensors weights;  // under diffusers' names, with the dtypes that they had
};

// Throw FormatError naming the first tensor that no rule takes, or what is missing; Error for options that do not fit.
ForeignModel from_openai(const NamedTensors& tensors, const ForeignOptions& options);
ForeignModel from_ho(const NamedTensors& tensors, const ForeignOptions& options);

}  // namespace sfumato
