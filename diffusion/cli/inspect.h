// The two things that `sfumato inspect` looks at. For inspect.cpp, which chooses.
//
//   int code = inspect_tensors("model.safetensors", {.check_finite = true});
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tensor/shape.h"

namespace sfumato::cli {

struct InspectOptions {
  bool json = false;
  bool check_finite = false;
  std::filesystem::path diff;         // the other file; empty: none
  std::optional<int> depth;           // of the module tree
  std::vector<int64_t> sample_shape;  // for the configuration of a run, which leaves it to the data
};

// Returned by diff when the files are not the same, as by diff(1).
inline constexpr int kDifferent = 1;

// The tensors of a safetensors file, or of an index (.json) of several, read one at a time. Throws as SafetensorsReader
// does, and FormatError naming the first tensors that are not finite with check_finite.
int inspect_tensors(const std::filesystem::path& path, const InspectOptions& options);
// The tensors of two such files, compared by name.
int diff_tensors(const std::filesystem::path& path, const InspectOptions& options);

// The module tree of the network that a configuration describes: a network's config.json, a run's config.json or a TOML
// file. Weights are not read.
int inspect_modules(const std::filesystem::path& config, const InspectOptions& options);

}  // namespace sfumato::cli
