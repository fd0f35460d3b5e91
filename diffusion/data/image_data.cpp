#include "diffusion/data/image_data.h"

#include <fmt/format.h>

#include <filesystem>

#include "diffusion/data/idx.h"
#include "tensor/io/file.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

// Where Debian's package puts it.
constexpr const char* kFashionMnist = "/usr/share/datasets/fashion-mnist";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

fs::path find_folder(const std::string& spec) {
  const bool named = spec == "fashion-mnist";
  fs::path folder = named ? fs::path(kFashionMnist) : fs::path(spec);
  if (!is_there(folder)) {
    throw MissingInput(
        named
            ? fmt::format("data 'fashion-mnist': no folder '{}' (Debian package dataset-fashion-mnist)", kFashionMnist)
            : fmt::format("data '{}': no such folder, and no data set of that name", spec));
  }
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) {
    throw MissingInput(fmt::format("data '{}': not a folder", spec));
  }
  return folder;
}

// The file with or without ".gz"; the plain one if both are there.
fs::path find_file(const fs::path& folder, const std::string& name) {
  for (const char* ending : {"", ".gz"}) {
    if (fs::path path = folder / (name + ending); is_there(path)) {
      return path;
    }
  }
  throw MissingInput(fmt::format("data '{}': no file {} or {}.gz in it", folder.string(), name, name));
}

}  // namespace

ImageData load_image_data(const std::string& spec, DataSplit split) {
  const fs::path folder = find_folder(spec);
  const std::string prefix = split == DataSplit::train ? "train" : "t10k";
  const fs::path image_file = find_file(folder, prefix + "-images-idx3-ubyte");
  const fs::path label_file = find_file(folder, prefix + "-labels-idx1-ubyte");

  const Tensor images = read_idx_images(image_file);
  const Tensor labels = read_idx_labels(label_file);
  if (images.numel() == 0) {
    throw FormatError(
        fmt::format("'{}': holds no images, its shape is {}", image_file.string(), to_string(images.shape())));
  }
  if (images.size(0) != labels.size(0)) {
    throw FormatError(
        fmt::format("data '{}': {} images but {} labels", folder.string(), images.size(0), labels.size(0)));
  }
  return {unsqueeze(images, 1), labels.to(DType::i64)};
}

}  // namespace sfumato
