// The index of sharded weights, checked against the shards' own headers.
#include "tensor/io/safetensors_shards.h"

#include <nlohmann/json.hpp>

#include "tensor/io/json.h"

namespace sfumato {
namespace {

using Json = nlohmann::json;

constexpr size_t kIndexLimit = size_t{256} << 20;  // a million tensors fit

template <class... Parts>
[[noreturn]] void reject(const std::filesystem::path& index, const Parts&... parts) {
  throw FormatError(detail::join_parts("'", index.string(), "': ", parts...));
}

// A plain name: neither an absolute path nor one that leaves the folder, or enters another.
bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string("/\\\0", 3)) == name.npos;
}

std::map<std::string, std::string> read_weight_map(const std::filesystem::path& index) {
  const Json json = parse_json(read_file(index, kIndexLimit), "'" + index.string() + "'");
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    reject(index, "has no object weight_map");
  }
  for (const auto& [key, value] : json.items()) {
    if (key != "weight_map" && key != "metadata") reject(index, "unknown key '", key, "'");
  }
  std::map<std::string, std::string> places;
  for (const auto& [name, shard] : json["weight_map"].items()) {
    if (!shard.is_string()) reject(index, "the shard of tensor '", name, "' is ", shard.dump(), ", not a string");
    const auto file = shard.get<std::string>();
    if (!is_file_name(file)) {
      reject(index, "the shard of tensor '", name, "' is ", shard.dump(),
             ", which is not the name of a file beside it");
    }
    places.emplace(name, file);
  }
  return places;
}

}  // namespace

ShardedSafetensors::ShardedSafetensors(const std::filesystem::path& index)
    : index_(index), places_(read_weight_map(index)) {
  for (const auto& [name, shard] : places_) {
    auto found = shards_.find(shard);
    if (found == shards_.end()) {
      found = shards_.emplace(shard, SafetensorsReader(index.parent_path() / shard)).first;
    }
    if (!found->second.contains(name)) reject(index, "tensor '", name, "' is not in ", shard);
  }
  for (const auto& [shard, file] : shards_) {
    for (const auto& [name, entry] : file.entries()) {
      const auto place = places_.find(name);
      if (place == places_.end()) reject(index, "does not name tensor '", name, "' of ", shard);
      if (place->second != shard) reject(index, "tensor '", name, "' is in ", shard, " and in ", place->second);
      entries_.emplace(name, entry);
    }
  }
}

Tensor ShardedSafetensors::read(const std::string& name) const {
  const auto place = places_.find(name);
  if (place == places_.end()) reject(index_, "has no tensor '", name, "'");
  return shards_.at(place->second).read(name);
}

NamedTensors ShardedSafetensors::read_all() const {
  NamedTensors tensors;
  for (const auto& [shard, file] : shards_) {
    NamedTensors some = file.read_all();
    std::move(some.begin(), some.end(), std::back_inserter(tensors));
  }
  return tensors;
}

NamedTensors read_tensors(const std::filesystem::path& path) {
  return path.extension() == ".json" ? ShardedSafetensors(path).read_all() : SafetensorsReader(path).read_all();
}

}  // namespace sfumato
