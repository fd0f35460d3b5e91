// A run directory: everything that a training run leaves behind.
//
//   config.json                the resolved configuration
//   env.json                   library versions, instruction set, threads
//   metrics.jsonl              one JSON object for each step
//   samples/step-N.png         grids drawn while training
//   checkpoints/step-N/        what a resume needs ("diffusion/train/checkpoint.h")
//   model/                     the result in diffusers' layout, EMA weights; appears when the run is finished
#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "diffusion/train/checkpoint.h"
#include "diffusion/train/config.h"

namespace sfumato {

// The run directory cannot be made or is in the way (exit code 73).
class CannotCreate : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Steps whose loss or gradient was not finite.
struct SkippedSteps {
  int64_t total = 0, in_a_row = 0;  // up to the last step

  void count(bool skipped) {
    total += skipped ? 1 : 0;
    in_a_row = skipped ? in_a_row + 1 : 0;
  }
};

class RunDirectory {
 public:
  explicit RunDirectory(std::filesystem::path root) : root_(std::move(root)) {}

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path model() const { return root_ / "model"; }
  std::filesystem::path samples() const { return root_ / "samples"; }
  std::filesystem::path config() const { return root_ / "config.json"; }
  std::filesystem::path metrics() const { return root_ / "metrics.jsonl"; }
  CheckpointFolder checkpoints() const { return CheckpointFolder(root_ / "checkpoints"); }

  // Whether something of a run is here already.
  bool exists() const;
  // Removes what a run has written here, and nothing else.
  void clear() const;
  // Makes the folders and writes config.json and env.json. Throws CannotCreate with the system's reason.
  void create(const TrainConfig& config) const;

  // Drops the metrics of steps after `step`: they will be computed again. Returns what is left to know of the others.
  SkippedSteps truncate_metrics(int64_t step) const;

 private:
  std::filesystem::path root_;
};

}  // namespace sfumato
