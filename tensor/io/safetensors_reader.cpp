// Bytes are read with pread into the tensor's own memory. No mmap: a file that someone truncates while it is mapped
// kills the process (SIGBUS), where pread reports it.
#include <cstring>

#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_format.h"

namespace sfumato {

struct SafetensorsReader::Impl {
  explicit Impl(const std::filesystem::path& path) : file(path) {}

  // Every message about the content names the file.
  template <class... Parts>
  [[noreturn]] void reject(const Parts&... parts) const {
    throw FormatError(detail::join_parts("'", file.path().string(), "': ", parts...));
  }

  void read_header() {
    const auto size = static_cast<uint64_t>(file.size());
    if (size < detail::kLengthPrefix) {
      reject("no safetensors file: it has ", size, " bytes, not even the 8 of the header's length");
    }
    unsigned char prefix[detail::kLengthPrefix];
    file.read_at(0, prefix, sizeof(prefix));
    uint64_t length = 0;
    std::memcpy(&length, prefix, sizeof(length));
    if (length > detail::kMaxHeaderBytes) {
      reject("no safetensors file: a header of ", length, " bytes is announced, at most ", detail::kMaxHeaderBytes,
             " are allowed");
    }
    if (length > size - detail::kLengthPrefix) {
      reject("a header of ", length, " bytes is announced but the file has only ", size, " (truncated?)");
    }
    std::string header(length, '\0');
    file.read_at(detail::kLengthPrefix, header.data(), header.size());
    data_begin = static_cast<int64_t>(detail::kLengthPrefix + length);
    try {
      entries = parse_safetensors_header(header, file.size() - data_begin, &metadata);
    } catch (const FormatError& error) {
      reject(error.what());
    }
  }

  InputFile file;
  int64_t data_begin = 0;
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
};

SafetensorsReader::SafetensorsReader(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {
  impl_->read_header();
}
SafetensorsReader::~SafetensorsReader() = default;
SafetensorsReader::SafetensorsReader(SafetensorsReader&&) noexcept = default;
SafetensorsReader& SafetensorsReader::operator=(SafetensorsReader&&) noexcept = default;

const std::map<std::string, SafetensorsReader::Entry>& SafetensorsReader::entries() const { return impl_->entries; }
const std::map<std::string, std::string>& SafetensorsReader::metadata() const { return impl_->metadata; }
bool SafetensorsReader::contains(const std::string& name) const { return impl_->entries.contains(name); }

Tensor SafetensorsReader::read(const std::string& name) const {
  const auto found = impl_->entries.find(name);
  if (found == impl_->entries.end()) {
    impl_->reject("has no tensor '", name, "'");
  }
  const Entry& entry = found->second;
  Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
  auto* bytes = static_cast<uint8_t*>(tensor.mutable_raw_data());
  const int64_t count = entry.end - entry.begin;
  impl_->file.read_at(impl_->data_begin + entry.begin, bytes, static_cast<size_t>(count));
  if (entry.dtype == DType::boolean) {
    uint8_t seen = 0;
    for (int64_t i = 0; i < count; ++i) {
      seen |= bytes[i];
    }
    if (seen > 1) {
      impl_->reject("tensor '", name, "' is BOOL but has bytes other than 0 and 1");
    }
  }
  return tensor;
}

NamedTensors SafetensorsReader::read_all() const {
  NamedTensors tensors;
  tensors.reserve(impl_->entries.size());
  for (const auto& [name, entry] : impl_->entries) {
    tensors.emplace_back(name, read(name));
  }
  return tensors;
}

}  // namespace sfumato
