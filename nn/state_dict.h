// A module's weights as a safetensors file, under PyTorch's names.
//
//   save_state_dict("model.safetensors", net);
//   load_state_dict("model.safetensors", net);        // strict: every name and shape must match
#pragma once

#include <filesystem>

#include "nn/module.h"

namespace sfumato {

// Writes every parameter and buffer. Throws IoError when the file cannot be written.
void save_state_dict(const std::filesystem::path& path, const Module& module);

// Reads them back. Throws IoError or FormatError for the file, and Error listing all names that are missing, unexpected
// or of another shape; the module is unchanged then.
void load_state_dict(const std::filesystem::path& path, Module& module);

}  // namespace sfumato
