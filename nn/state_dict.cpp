#include "nn/state_dict.h"

namespace sfumato {

void save_state_dict(const std::filesystem::path& path, const Module& module) {
  // "pt" is what transformers and diffusers look for before they load a file.
  save_safetensors(path, module.state_dict(), {{"format", "pt"}});
}

void load_state_dict(const std::filesystem::path& path, Module& module) {
  module.load_state_dict(SafetensorsReader(path).read_all(), path.string());
}

}  // namespace sfumato
