#include "diffusion/data/image_data.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "diffusion/data/idx.h"
#include "diffusion/image/decode.h"
#include "tensor/io/file.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

// Where Debian's package puts it.
constexpr const char* kFashionMnist = "/usr/share/datasets/fashion-mnist";

const std::vector<std::string>& fashion_names() {
  static const std::vector<std::string> names{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                              "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  return names;
}

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

// The file with or without ".gz", the plain one if both are there; empty if none is.
fs::path find_file(const fs::path& folder, const std::string& name) {
  for (const char* ending : {"", ".gz"}) {
    if (fs::path path = folder / (name + ending); is_there(path)) {
      return path;
    }
  }
  return {};
}

// Image and label file of a split.
std::vector<std::string> file_names(DataSplit split) {
  const std::string prefix = split == DataSplit::train ? "train" : "t10k";
  return {prefix + "-images-idx3-ubyte", prefix + "-labels-idx1-ubyte"};
}

std::vector<fs::path> find_files(const fs::path& folder, DataSplit split) {
  std::vector<fs::path> found;
  std::vector<std::string> missing;
  for (const std::string& name : file_names(split)) {
    found.push_back(find_file(folder, name));
    if (found.back().empty()) {
      missing.push_back(fmt::format("no file {0} or {0}.gz", name));
    }
  }
  if (!missing.empty()) {
    throw MissingInput(fmt::format("data '{}': {} in it", folder.string(), fmt::join(missing, ", ")));
  }
  return found;
}

}  // namespace

ImageData load_image_data(const std::string& spec, DataSplit split) {
  const fs::path folder = find_folder(spec);
  const std::vector<fs::path> files = find_files(folder, split);
  const Tensor images = read_idx_images(files[0]);
  const Tensor labels = read_idx_labels(files[1]);
  if (images.numel() == 0) {
    throw FormatError(
        fmt::format("'{}': holds no images, its shape is {}", files[0].string(), to_string(images.shape())));
  }
  if (images.size(0) != labels.size(0)) {
    throw FormatError(
        fmt::format("data '{}': {} images but {} labels", folder.string(), images.size(0), labels.size(0)));
  }
  return {unsqueeze(images, 1), labels.to(DType::i64),
          spec == "fashion-mnist" ? fashion_names() : std::vector<std::string>()};
}

bool has_idx_files(const std::string& folder) {
  const auto holds = [&](DataSplit split) {
    const auto names = file_names(split);
    return std::any_of(names.begin(), names.end(), [&](const auto& name) { return !find_file(folder, name).empty(); });
  };
  return holds(DataSplit::train) || holds(DataSplit::test);
}

ImageData with_channels(ImageData data, int64_t channels) {
  check(channels == 0 || channels == 1 || channels == 3, "channels must be 1 (grey) or 3 (colour), got ", channels);
  const Tensor from = data.images.contiguous();
  const int64_t count = from.size(0), given = from.size(1), plane = from.size(2) * from.size(3);
  check(given == 1 || given == 3, "with_channels: images must have 1 or 3 channels, got ", from.shape());
  if (channels == 0 || channels == given) {
    return data;
  }
  data.images = Tensor::empty({count, channels, from.size(2), from.size(3)}, DType::u8);
  const uint8_t* in = from.data<uint8_t>();
  uint8_t* out = data.images.mutable_data<uint8_t>();
  for (int64_t n = 0; n < count; ++n, in += given * plane, out += channels * plane) {
    if (given == 1) {
      for (int64_t c = 0; c < 3; ++c) {
        std::copy_n(in, plane, out + c * plane);
      }
    } else {
      for (int64_t i = 0; i < plane; ++i) {
        out[i] = luma(in[i], in[plane + i], in[2 * plane + i]);
      }
    }
  }
  return data;
}

}  // namespace sfumato
