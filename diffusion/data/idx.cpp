#include "diffusion/data/idx.h"

#include <algorithm>
#include <array>
#include <limits>

#include "diffusion/data/gzip.h"

namespace sfumato {
namespace {

constexpr int kUnsignedBytes = 0x08;

template <class... Parts>
[[noreturn]] void reject(const GzipFile& file, const Parts&... parts) {
  throw FormatError(detail::join_parts("'", file.path().string(), "': ", parts...));
}

// Reads the magic number and the sizes of an array that must have `rank` dimensions.
Shape read_shape(GzipFile& file, int rank) {
  std::array<unsigned char, 4> word{};
  file.read(word.data(), word.size());
  if (word[0] != 0 || word[1] != 0) {
    reject(file, "no idx file: it begins with ",
           fmt::format("{:02x} {:02x} {:02x} {:02x}", word[0], word[1], word[2], word[3]));
  }
  if (word[2] != kUnsignedBytes) {
    reject(file, "elements of type ", fmt::format("{:#04x}", word[2]),
           " are not supported (unsigned bytes, 0x08, are)");
  }
  if (word[3] != rank) {
    reject(file, "has ", int{word[3]}, " dimensions, expected ", rank, rank == 3 ? " (images)" : " (labels)");
  }
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    file.read(word.data(), word.size());
    shape.push_back(int64_t{word[0]} << 24 | int64_t{word[1]} << 16 | int64_t{word[2]} << 8 | int64_t{word[3]});
  }
  return shape;
}

// The number of elements; the largest integer when there are too many to count.
int64_t bytes_of(const Shape& shape) {
  int64_t product = 1;
  bool overflow = false;
  bool empty = false;
  for (const int64_t size : shape) {
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(product, std::max<int64_t>(size, 1), &product);
  }
  return overflow ? std::numeric_limits<int64_t>::max() : empty ? 0 : product;
}

Tensor read_idx(const std::filesystem::path& path, int rank) {
  GzipFile file(path);
  const Shape shape = read_shape(file, rank);
  if (bytes_of(shape) > file.most_bytes()) {
    reject(file, "declares shape ", shape, ", more than the file can hold");
  }
  Tensor tensor = Tensor::empty(shape, DType::u8);
  file.read(tensor.mutable_data<uint8_t>(), static_cast<size_t>(tensor.numel()));
  file.expect_end();
  return tensor;
}

}  // namespace

Tensor read_idx_images(const std::filesystem::path& path) { return read_idx(path, 3); }
Tensor read_idx_labels(const std::filesystem::path& path) { return read_idx(path, 1); }

}  // namespace sfumato
