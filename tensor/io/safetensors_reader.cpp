// Bytes are read with pread into the tensor's own memory. No mmap: a file that someone truncates while it is mapped
// kills the process (SIGBUS), where pread reports it.
#include <algorithm>
#include <bit>
#include <cstring>

#include "tensor/io/safetensors.h"
#include "tensor/io/safetensors_format.h"
#include "tensor/parallel.h"

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

  const Entry& find(const std::string& name) const;
  // Bytes begin..end of a tensor in the file, as they are to be in memory; both on the boundary of an element.
  void read_piece(const std::string& name, const Entry& entry, Tensor& tensor, int64_t begin, int64_t end) const;

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

const SafetensorsReader::Entry& SafetensorsReader::Impl::find(const std::string& name) const {
  const auto found = entries.find(name);
  if (found == entries.end()) {
    reject("has no tensor '", name, "'");
  }
  return found->second;
}

namespace {

// A tensor is read in pieces: half precision is converted on the way, and several threads share a large one.
constexpr int64_t kPiece = int64_t{1} << 20;

// IEEE's 16 bits: 1 sign, 5 exponent, 10 mantissa.
float from_half(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31u, mantissa = half & 0x3ffu;
  if (exponent == 0) {  // zero and the denormals, which are normal in f32
    const float size = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -size : size;
  }
  const uint32_t widened = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

}  // namespace

void SafetensorsReader::Impl::read_piece(
    const std::string& name, const Entry& entry, Tensor& tensor, int64_t begin, int64_t end) const {
  const auto count = static_cast<size_t>(end - begin);
  const int64_t at = data_begin + entry.begin + begin;
  if (entry.half) {
    std::vector<uint16_t> halves(count / 2);
    file.read_at(at, halves.data(), count);
    std::transform(halves.begin(), halves.end(), static_cast<float*>(tensor.mutable_raw_data()) + begin / 2, from_half);
    return;
  }
  auto* bytes = static_cast<uint8_t*>(tensor.mutable_raw_data()) + begin;
  file.read_at(at, bytes, count);
  if (entry.dtype == DType::boolean && std::any_of(bytes, bytes + count, [](uint8_t byte) { return byte > 1; })) {
    reject("tensor '", name, "' is BOOL but has bytes other than 0 and 1");
  }
}

Tensor SafetensorsReader::read(const std::string& name) const {
  const Entry& entry = impl_->find(name);
  Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
  const int64_t bytes = entry.end - entry.begin;
  for (int64_t begin = 0; begin < bytes; begin += kPiece) {
    impl_->read_piece(name, entry, tensor, begin, std::min(begin + kPiece, bytes));
  }
  return tensor;
}

NamedTensors SafetensorsReader::read(const std::vector<std::string>& names) const {
  // Most of the time goes into copying from the system's cache and into first touches of memory; both scale with
  // threads. Pieces rather than tensors, so that one large tensor is no straggler.
  struct Piece {
    const Entry* entry;
    size_t tensor;
    int64_t begin, end;
  };
  NamedTensors tensors;
  tensors.reserve(names.size());
  std::vector<Piece> pieces;
  for (const std::string& name : names) {
    const Entry& entry = impl_->find(name);
    tensors.emplace_back(name, Tensor::empty(entry.shape, entry.dtype));
    const int64_t bytes = entry.end - entry.begin;
    for (int64_t begin = 0; begin < bytes; begin += kPiece) {
      pieces.push_back({&entry, tensors.size() - 1, begin, std::min(begin + kPiece, bytes)});
    }
  }
  parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      auto& [name, tensor] = tensors[piece.tensor];
      impl_->read_piece(name, *piece.entry, tensor, piece.begin, piece.end);
    }
  });
  return tensors;
}

NamedTensors SafetensorsReader::read_all() const {
  std::vector<std::string> names;
  names.reserve(impl_->entries.size());
  for (const auto& entry : impl_->entries) {
    names.push_back(entry.first);
  }
  return read(names);
}

}  // namespace sfumato
