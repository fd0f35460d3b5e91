// idx: the format of MNIST and the data sets that copy it (http://yann.lecun.com/exdb/mnist/), plain or gzipped.
//
//   Tensor images = read_idx_images("train-images-idx3-ubyte.gz");   // u8 (N, H, W)
//   Tensor labels = read_idx_labels("train-labels-idx1-ubyte.gz");   // u8 (N)
//
// Format: two zero bytes, the element type (0x08: unsigned bytes, the only one read here), the number of dimensions,
// each size as a big-endian u32, then the elements in row-major order. Whether a file is gzipped is told from its first
// bytes, not from its name. The declared sizes bound what is decompressed, so a small file cannot fill the memory.
#pragma once

#include <filesystem>

#include "tensor/tensor.h"

namespace sfumato {

// Throw MissingInput or IoError, and FormatError for a wrong magic number or dimensions, for truncated, corrupt or
// trailing data (all in "tensor/io/file.h").
Tensor read_idx_images(const std::filesystem::path& path);
Tensor read_idx_labels(const std::filesystem::path& path);

}  // namespace sfumato
