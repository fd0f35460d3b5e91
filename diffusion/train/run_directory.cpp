#include "diffusion/train/run_directory.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "diffusion/train/environment.h"
#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kCheckpointPrefix = "step-";
constexpr size_t kStateLimit = size_t{1} << 20;

std::optional<int64_t> step_of(const std::string& name) {
  int64_t step = 0;
  const char* end = name.data() + name.size();
  if (!name.starts_with(kCheckpointPrefix)) {
    return std::nullopt;
  }
  const auto [stop, error] = std::from_chars(name.data() + kCheckpointPrefix.size(), end, step);
  return error == std::errc() && stop == end ? std::optional(step) : std::nullopt;
}

}  // namespace

fs::path RunDirectory::checkpoint(int64_t step) const {
  return root_ / "checkpoints" / (std::string(kCheckpointPrefix) + std::to_string(step));
}

bool RunDirectory::exists() const {
  return fs::exists(config()) || fs::exists(root_ / "checkpoints") || fs::exists(model());
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
    write_file_durably(root_ / "env.json", environment_json());
    write_file_durably(config(), config_values.to_json());
  } catch (const IoError& error) {
    throw CannotCreate(error.what());
  }
}

std::vector<int64_t> RunDirectory::checkpoint_steps() const {
  std::vector<int64_t> steps;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(root_ / "checkpoints", ignored)) {
    if (const auto step = step_of(entry.path().filename().string())) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

void RunDirectory::save_checkpoint(const Trainer& trainer, int64_t keep) const {
  write_folder_durably(checkpoint(trainer.step_count()), [&](const fs::path& building) {
    save_safetensors(building / "weights.safetensors", trainer.weights());
    save_safetensors(building / "optimizer.safetensors", trainer.optimizer_state());
    save_safetensors(building / "ema.safetensors", trainer.ema_state());
    write_file_durably(building / "state.json", Json{{"step", trainer.step_count()}}.dump(2) + "\n");
  });
  const std::vector<int64_t> steps = checkpoint_steps();
  for (size_t i = 0; i + static_cast<size_t>(keep) < steps.size(); ++i) {
    remove_tree(checkpoint(steps[i]));
  }
}

std::optional<int64_t> RunDirectory::load_newest(Trainer& trainer,
                                                 const std::function<void(const std::string&)>& warn) const {
  std::vector<int64_t> steps = checkpoint_steps();
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    const fs::path folder = checkpoint(*it);
    try {
      const auto state = Json::parse(read_file(folder / "state.json", kStateLimit));
      const auto read = [&](const char* name) { return SafetensorsReader(folder / name).read_all(); };
      trainer.load(state.at("step").get<int64_t>(), read("weights.safetensors"), read("optimizer.safetensors"),
                   read("ema.safetensors"));
      return trainer.step_count();
    } catch (const std::exception& error) {
      warn("checkpoint " + folder.string() + " cannot be used and is skipped: " + error.what());
    }
  }
  return std::nullopt;
}

void RunDirectory::truncate_metrics(int64_t step) const {
  std::ifstream in(metrics());
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    const auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("step", int64_t{0}) <= step && json.contains("step")) {
      kept += line + "\n";
    }
  }
  if (in.is_open()) {
    write_file_durably(metrics(), kept);
  }
}

}  // namespace sfumato
