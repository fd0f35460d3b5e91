#include "diffusion/train/run_directory.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "diffusion/train/environment.h"
#include "tensor/io/file.h"

namespace sfumato {
namespace {

using Json = nlohmann::json;

// A line for each step; a run of years stays below this.
constexpr size_t kMetricsLimit = size_t{1} << 36;

}  // namespace

bool RunDirectory::exists() const {
  return path_exists(config()) || path_exists(root_ / "checkpoints") || path_exists(model());
}

void RunDirectory::clear() const {
  for (const char* name :
       {"config.json", "env.json", "metrics.jsonl", "samples", "checkpoints", "model", "model.tmp", "model.old"}) {
    remove_tree(root_ / name);
  }
}

void RunDirectory::create(const TrainConfig& config_values) const {
  try {
    make_directory(samples());
    make_directory(root_ / "checkpoints");
    remove_unfinished_files(root_);
    write_file_durably(root_ / "env.json", environment_json());
    write_file_durably(config(), config_values.to_json());
  } catch (const IoError& error) {
    throw CannotCreate(error.what());
  }
}

SkippedSteps RunDirectory::truncate_metrics(int64_t step) const {
  SkippedSteps skipped;
  if (!path_exists(metrics())) {
    return skipped;
  }
  std::istringstream lines(read_file(metrics(), kMetricsLimit));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("step", int64_t{0}) <= step && json.contains("step")) {
      kept += line + "\n";
      skipped.count(json.value("skipped", false));
    }
  }
  write_file_durably(metrics(), kept);
  return skipped;
}

}  // namespace sfumato
