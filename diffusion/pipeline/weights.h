// The weights in a diffusers network folder: where they are, and what older versions called them.
//
//   NamedTensors weights = read_weights("model/unet");       // one file or shards, under today's names
//   network.load_state_dict(std::move(weights));
//
// Before version 0.12 diffusers called the layers of an attention block query, key, value and proj_attn where it now
// says to_q, to_k, to_v and to_out.0; and some converted models keep them as 1x1 convolutions, (C, C, 1, 1). Both are
// read, neither is written.
#pragma once

#include <filesystem>

#include "tensor/io/safetensors.h"

namespace sfumato {

// The file that holds a network's weights, or the index of its shards (with ".index.json" behind it).
inline constexpr const char* kWeightsFile = "diffusion_pytorch_model.safetensors";

// The file, or where there is none the index of shards. Throws MissingInput.
std::filesystem::path weights_path(const std::filesystem::path& folder);

// Every tensor with its dtype as stored (F16 as f32). Throws MissingInput, IoError or FormatError.
NamedTensors read_weights(const std::filesystem::path& folder);

// Old names become today's, in place.
void rename_legacy_attention(NamedTensors& weights);

// Floating tensors in another floating dtype; one that has it already is shared.
void convert_floating(NamedTensors& weights, DType dtype);

}  // namespace sfumato
