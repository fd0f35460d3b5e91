#include "diffusion/pipeline/weights.h"

#include <fmt/format.h>

#include "tensor/io/safetensors_shards.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

struct Renaming {
  std::string_view old_name, name;
};

constexpr Renaming kAttention[] = {
    {".query.", ".to_q."}, {".key.", ".to_k."}, {".value.", ".to_v."}, {".proj_attn.", ".to_out.0."}};

// A matrix that was stored as a convolution of one pixel.
bool is_pointwise(const Shape& shape) {
  return (shape.rank() == 4 && shape[2] == 1 && shape[3] == 1) || (shape.rank() == 3 && shape[2] == 1);
}

}  // namespace

fs::path weights_path(const fs::path& folder) {
  const fs::path file = folder / kWeightsFile, index = folder / fmt::format("{}.index.json", kWeightsFile);
  if (fs::exists(file)) return file;
  if (fs::exists(index)) return index;
  if (fs::exists(folder / "diffusion_pytorch_model.bin")) {
    throw MissingInput("cannot open '" + file.string() +
                       "': there is a diffusion_pytorch_model.bin, but pickled weights are not read (diffusers writes "
                       "safetensors with save_pretrained(safe_serialization=True))");
  }
  throw MissingInput("cannot open '" + file.string() + "': there is neither that file nor an index of shards");
}

NamedTensors read_weights(const fs::path& folder) {
  NamedTensors weights = read_tensors(weights_path(folder));
  rename_legacy_attention(weights);
  return weights;
}

void rename_legacy_attention(NamedTensors& weights) {
  for (auto& [name, tensor] : weights) {
    if (name.find("attentions.") == name.npos) continue;
    for (const Renaming& renaming : kAttention) {
      if (const size_t at = name.find(renaming.old_name); at != name.npos) {
        name.replace(at, renaming.old_name.size(), renaming.name);
      }
      if (name.find(renaming.name) != name.npos && is_pointwise(tensor.shape())) {
        tensor = tensor.reshape({tensor.size(0), tensor.size(1)});
      }
    }
  }
}

void convert_floating(NamedTensors& weights, DType dtype) {
  for (auto& [name, tensor] : weights) {
    if (is_floating(tensor.dtype()) && tensor.dtype() != dtype) tensor = tensor.to(dtype);
  }
}

}  // namespace sfumato
