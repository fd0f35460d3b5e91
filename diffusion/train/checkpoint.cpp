#include "diffusion/train/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <system_error>

#include "tensor/io/file.h"
#include "tensor/io/json.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kPrefix = "step-";
constexpr const char* kManifest = "manifest.json";
constexpr size_t kManifestLimit = size_t{1} << 20;
// Headers, the manifest, and what a file system keeps for itself.
constexpr uint64_t kOverhead = uint64_t{4} << 20;

// The files of a checkpoint and where their tensors belong.
struct Part {
  const char* name;
  NamedTensors CheckpointContents::*tensors;
};
constexpr Part kParts[] = {{"weights.safetensors", &CheckpointContents::weights},
                           {"optimizer.safetensors", &CheckpointContents::optimizer},
                           {"ema.safetensors", &CheckpointContents::ema}};

std::string name_of_step(int64_t step) { return std::string(kPrefix) + std::to_string(step); }

std::optional<int64_t> step_of(std::string_view name) {
  int64_t step = 0;
  const char* end = name.data() + name.size();
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  return error == std::errc() && stop == end && step >= 0 ? std::optional(step) : std::nullopt;
}

Json parse_manifest(const fs::path& path) {
  const Json manifest = parse_json(read_file(path, kManifestLimit), "'" + path.string() + "'");
  const bool fits = manifest.is_object() && manifest.contains("step") && manifest["step"].is_number_integer() &&
                    manifest.contains("files") && manifest["files"].is_object() && manifest.contains("environment") &&
                    manifest["environment"].is_object();
  if (!fits) {
    throw FormatError("'" + path.string() + "': not a checkpoint's manifest");
  }
  return manifest;
}

void verify(const fs::path& file, const Json& files, const char* name) {
  const Json& expected = files.contains(name) ? files[name] : Json();
  if (!expected.is_object() || !expected.contains("bytes") || !expected.contains("xxh3_128")) {
    throw FormatError("'" + file.string() + "': the manifest does not list it");
  }
  const FileDigest found = digest_of_file(file);
  if (expected["bytes"] != found.bytes) {
    throw FormatError(fmt::format("'{}': it has {} bytes where the manifest says {}", file.string(), found.bytes,
                                  expected["bytes"].dump()));
  }
  if (expected["xxh3_128"] != found.xxh3_128) {
    throw FormatError("'" + file.string() + "': its bytes are not those that were written (XXH3 differs)");
  }
}

}  // namespace

uint64_t CheckpointContents::bytes() const {
  uint64_t total = 0;
  for (const Part& part : kParts) {
    for (const auto& [name, tensor] : this->*part.tensors) {
      total += static_cast<uint64_t>(tensor.numel()) * size_of(tensor.dtype());
    }
  }
  return total;
}

fs::path CheckpointFolder::path_of(int64_t step) const { return root_ / name_of_step(step); }

std::vector<int64_t> CheckpointFolder::steps() const {
  std::vector<int64_t> steps;
  if (!path_exists(root_)) {
    return steps;
  }
  for (const std::string& name : list_folder(root_)) {
    if (const auto step = step_of(name)) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

bool CheckpointFolder::is_whole(int64_t step) const {
  try {
    load(step);
    return true;
  } catch (const IoError&) {
    return false;
  } catch (const FormatError&) {
    return false;
  }
}

void CheckpointFolder::save(const CheckpointContents& contents, const CheckpointPolicy& policy) const {
  // A step's contents are a function of the step. Replacing a whole checkpoint would have a moment without one.
  if (path_exists(path_of(contents.step)) && is_whole(contents.step)) {
    return;
  }
  make_directory(root_);
  const uint64_t needed = contents.bytes() + kOverhead;
  if (const uint64_t available = free_space(root_); available < needed) {
    throw IoError(
        fmt::format("cannot write '{}': {} ({} bytes are needed and {} are free)", path_of(contents.step).string(),
                    std::generic_category().message(ENOSPC), needed, available),
        ENOSPC);
  }
  write_folder_durably(path_of(contents.step), [&](const fs::path& building) {
    Json files = Json::object();
    for (const Part& part : kParts) {
      const FileDigest digest = save_safetensors(building / part.name, contents.*part.tensors);
      files[part.name] = {{"bytes", digest.bytes}, {"xxh3_128", digest.xxh3_128}};
    }
    const Json manifest{{"step", contents.step}, {"environment", Json::parse(contents.environment)}, {"files", files}};
    write_file_durably(building / kManifest, manifest.dump(2) + "\n");
  });
  write_file_durably(root_ / "latest", name_of_step(contents.step) + "\n");
  try {
    prune(policy);
  } catch (const IoError&) {  // as above
  }
}

void CheckpointFolder::try_remove(const fs::path& path) {
  try {
    remove_tree(path);
  } catch (const IoError&) {  // it costs space, and the next save will try again
  }
}

void CheckpointFolder::prune(const CheckpointPolicy& policy) const {
  const std::vector<int64_t> all = steps();
  for (size_t i = 0; i + static_cast<size_t>(policy.keep) < all.size(); ++i) {
    if (policy.keep_every > 0 && all[i] % policy.keep_every == 0) {
      continue;
    }
    try_remove(path_of(all[i]));
  }
  remove_unfinished();
}

// What a process that was killed inside a save left behind: this is the only one now.
void CheckpointFolder::remove_unfinished() const {
  for (const std::string& name : list_folder(root_)) {
    const fs::path path(name);
    if ((path.extension() == ".tmp" || path.extension() == ".old") && step_of(path.stem().string())) {
      try_remove(root_ / name);
    }
  }
  remove_unfinished_files(root_);
}

CheckpointContents CheckpointFolder::load(int64_t step) const {
  const fs::path folder = path_of(step);
  const Json manifest = parse_manifest(folder / kManifest);
  CheckpointContents contents;
  contents.step = manifest["step"].get<int64_t>();
  if (contents.step != step) {
    throw FormatError(fmt::format("'{}': its manifest is that of step {}", folder.string(), contents.step));
  }
  contents.environment = manifest["environment"].dump();
  for (const Part& part : kParts) {
    verify(folder / part.name, manifest["files"], part.name);
    contents.*part.tensors = SafetensorsReader(folder / part.name).read_all();
  }
  return contents;
}

std::optional<CheckpointContents> CheckpointFolder::load_newest(
    const std::function<void(const std::string&)>& warn) const {
  const std::vector<int64_t> all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    try {
      return load(*step);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      warn("checkpoint " + path_of(*step).string() + " cannot be used and is skipped: " + error.what());
    }
  }
  return std::nullopt;
}

}  // namespace sfumato
