// Checkpoints: what a resume needs, in a folder that is whole or not there.
//
//   checkpoints/
//     latest                      a file that holds "step-1200"
//     step-1000/  step-1200/
//       weights.safetensors       the network's state dict
//       optimizer.safetensors     Adam's moments and step
//       ema.safetensors           the averages and their count
//       manifest.json             step, environment, and each file's size and XXH3-128
//
// Everything else that the next step depends on (noise, timesteps, dropout, the order of the data) is a function of the
// seed and the step ("tensor/random.h"), so there is no generator's state to keep.
//
// Writing: step-N.tmp/ is filled, each file and the folder fsynced, renamed to step-N/, the parent fsynced; then
// `latest` follows, and only then older ones are pruned. A crash anywhere leaves the older checkpoint or the new one.
// Reading: the newest whose files have the sizes and hashes of its manifest; `latest` is for people.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "tensor/io/safetensors.h"

namespace sfumato {

struct CheckpointContents {
  int64_t step = 0;
  NamedTensors weights, optimizer, ema;
  // What the bits of a run depend on besides its configuration: environment_json() of the run that wrote it.
  std::string environment;

  // Of all tensors.
  uint64_t bytes() const;
};

struct CheckpointPolicy {
  int64_t keep = 2;        // so many of the newest stay
  int64_t keep_every = 0;  // and those whose step is a multiple of this, for good; 0: no others
};

// The folder `checkpoints` of a run.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path root) : root_(std::move(root)) {}

  std::filesystem::path path_of(int64_t step) const;
  // Ascending; whether they are whole is not looked at.
  std::vector<int64_t> steps() const;

  // Throws IoError, with the older checkpoints as they were, when anything fails; there must be room for the whole of
  // it first. One of that step that is whole already is kept as it is. Failing to prune is no failure.
  void save(const CheckpointContents& contents, const CheckpointPolicy& policy) const;
  // Throws MissingInput, IoError or FormatError naming what is wrong with it.
  CheckpointContents load(int64_t step) const;
  // The newest that is whole; what is skipped, and why, is told through `warn`.
  std::optional<CheckpointContents> load_newest(const std::function<void(const std::string&)>& warn) const;

 private:
  bool is_whole(int64_t step) const;
  void prune(const CheckpointPolicy& policy) const;
  void remove_unfinished() const;
  static void try_remove(const std::filesystem::path& path);
  std::filesystem::path root_;
};

}  // namespace sfumato
