// safetensors: the only weight format. A strict reader and a canonical writer.
//
//   SafetensorsReader file("model.safetensors");
//   Tensor w = file.read("conv_in.weight");
//   save_safetensors("out.safetensors", {{"conv_in.weight", w}}, {{"format", "pt"}});
//
// Format (https://github.com/huggingface/safetensors): 8-byte little-endian header length, a JSON header
// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...} with an optional "__metadata__" of strings,
// then the data. The reader rejects whatever the format does not allow (duplicate keys, gaps, overlaps, trailing bytes,
// ...), each with its own message, before it allocates for it. The writer sorts by dtype (widest first, in the order of
// the format's own library), then by name, and pads the header with spaces to 8 bytes: equal tensors give equal bytes,
// and the same ones that the format's own library writes.
//
// Our dtypes: F64 F32 BF16 I64 I32 U8 BOOL; F16 is read, as f32, and never written. A BOOL byte must be 0 or 1. NaN and
// infinities are legal.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/tensor.h"

namespace sfumato {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

class SafetensorsReader {
 public:
  struct Entry {
    DType dtype;  // of what read() gives
    Shape shape;
    int64_t begin;  // bytes from the start of the data
    int64_t end;
    bool half = false;  // stored as F16
  };

  // Reads and checks the header. Throws MissingInput, IoError or FormatError.
  explicit SafetensorsReader(const std::filesystem::path& path);
  ~SafetensorsReader();
  SafetensorsReader(SafetensorsReader&&) noexcept;
  SafetensorsReader& operator=(SafetensorsReader&&) noexcept;

  const std::map<std::string, Entry>& entries() const;
  const std::map<std::string, std::string>& metadata() const;
  bool contains(const std::string& name) const;
  // Reads one tensor's bytes, and no others; throws FormatError naming the file when it has no such tensor, or when a
  // BOOL byte is neither 0 nor 1. Safe from several threads at once.
  Tensor read(const std::string& name) const;
  // Several at once, with all threads; in the order of `names`.
  NamedTensors read(const std::vector<std::string>& names) const;
  // Every tensor, in name order.
  NamedTensors read_all() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Parses a header (without its length prefix) against the number of data bytes that follow it. For fuzzing and tests.
std::map<std::string, SafetensorsReader::Entry> parse_safetensors_header(
    std::string_view header, int64_t data_bytes, std::map<std::string, std::string>* metadata = nullptr);

// Writes durably ("tensor/io/file.h"), so that `path` is never half a file. Tensors that are not contiguous are copied,
// one at a time. Returns the file's digest. Throws IoError, or Error for undefined tensors, equal names and names that
// the format cannot hold.
FileDigest save_safetensors(const std::filesystem::path& path,
                            const NamedTensors& tensors,
                            const std::map<std::string, std::string>& metadata = {});

}  // namespace sfumato
