// Weights that are spread over several safetensors files, with an index that says what is where:
//
//   {"metadata": {"total_size": 123}, "weight_map": {"conv_in.weight": "model-00001-of-00002.safetensors", ...}}
//
//   ShardedSafetensors weights("unet/diffusion_pytorch_model.safetensors.index.json");
//   Tensor w = weights.read("conv_in.weight");
//   NamedTensors all = read_tensors("unet/diffusion_pytorch_model.safetensors");      // one file or an index
//
// Strict: index and shards must name the same tensors, and a shard is a file beside the index, whatever path the index
// would like it to be. Opening reads the headers alone.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/io/safetensors.h"

namespace sfumato {

class ShardedSafetensors {
 public:
  // Throws MissingInput for an index or shard that is not there, IoError, or FormatError.
  explicit ShardedSafetensors(const std::filesystem::path& index);

  bool contains(const std::string& name) const { return entries_.contains(name); }
  // Of all shards; the offsets are those in the tensor's own shard.
  const std::map<std::string, SafetensorsReader::Entry>& entries() const { return entries_; }
  size_t num_shards() const { return shards_.size(); }
  // One tensor's bytes and no others; throws FormatError when there is no such tensor.
  Tensor read(const std::string& name) const;
  NamedTensors read_all() const;

 private:
  std::filesystem::path index_;
  std::map<std::string, SafetensorsReader> shards_;  // by file name
  std::map<std::string, std::string> places_;        // tensor -> shard
  std::map<std::string, SafetensorsReader::Entry> entries_;
};

// Every tensor of a safetensors file or, when `path` ends in .json, of the shards of an index.
NamedTensors read_tensors(const std::filesystem::path& path);

}  // namespace sfumato
