#include "diffusion/data/cifar.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "tensor/io/file.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kImageBytes = int64_t{3} * 32 * 32;
constexpr size_t kNamesLimit = 64 << 10;

struct Layout {
  const char* set;
  const char* subfolder;
  const char* names;  // one class per line
  std::vector<std::string> train, test;
  int64_t label_bytes;  // the last of them counts
  int64_t classes;

  int64_t record() const { return label_bytes + kImageBytes; }
  const std::vector<std::string>& files(DataSplit split) const { return split == DataSplit::train ? train : test; }
};

const Layout& layout_of(Cifar kind) {
  static const Layout ten{
      "CIFAR-10",
      "cifar-10-batches-bin",
      "batches.meta.txt",
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
      {"test_batch.bin"},
      1,
      10};
  static const Layout hundred{"CIFAR-100", "cifar-100-binary", "fine_label_names.txt", {"train.bin"}, {"test.bin"}, 2,
                              100};
  return kind == Cifar::ten ? ten : hundred;
}

bool holds_some(const fs::path& folder, const Layout& layout) {
  const auto any = [&](const auto& names) {
    return std::any_of(names.begin(), names.end(), [&](const auto& name) { return path_exists(folder / name); });
  };
  return any(layout.train) || any(layout.test);
}

// The folder that holds the files: the given one or the set's own below it.
fs::path find_folder(const std::string& folder, const Layout& layout) {
  if (!path_exists(folder)) {
    throw MissingInput(fmt::format("data '{}': no such folder", folder));
  }
  const fs::path below = fs::path(folder) / layout.subfolder;
  return !holds_some(folder, layout) && path_exists(below) ? below : fs::path(folder);
}

// Opens every file of the split.
std::vector<InputFile> open_files(const fs::path& folder, const Layout& layout, DataSplit split) {
  std::vector<std::string> missing;
  for (const std::string& name : layout.files(split)) {
    if (!path_exists(folder / name)) {
      missing.push_back(name);
    }
  }
  if (!missing.empty()) {
    throw MissingInput(
        fmt::format("data '{}': {} is not complete: no {}", folder.string(), layout.set, fmt::join(missing, ", ")));
  }
  std::vector<InputFile> files;
  for (const std::string& name : layout.files(split)) {
    const InputFile& file = files.emplace_back(folder / name);
    if (file.size() == 0 || file.size() % layout.record() != 0) {
      throw FormatError(fmt::format("'{}': {} bytes are no whole number of {} records ({} bytes each)",
                                    file.path().string(), file.size(), layout.set, layout.record()));
    }
  }
  return files;
}

// Reads the records of one file to where `images` and `labels` point, and moves these on.
void read_records(const InputFile& file, const Layout& layout, uint8_t*& images, int64_t*& labels) {
  constexpr int64_t kRecordsAtOnce = 256;
  std::vector<uint8_t> buffer(static_cast<size_t>(std::min(kRecordsAtOnce * layout.record(), file.size())));
  for (int64_t at = 0; at < file.size();) {
    const int64_t bytes = std::min<int64_t>(static_cast<int64_t>(buffer.size()), file.size() - at);
    file.read_at(at, buffer.data(), static_cast<size_t>(bytes));
    for (int64_t begin = 0; begin < bytes; begin += layout.record()) {
      const uint8_t* record = buffer.data() + begin;
      const int64_t label = record[layout.label_bytes - 1];
      if (label >= layout.classes) {
        throw FormatError(fmt::format("'{}': record {} has label {}, {} has 0 to {}", file.path().string(),
                                      (at + begin) / layout.record(), label, layout.set, layout.classes - 1));
      }
      *labels++ = label;
      images = std::copy_n(record + layout.label_bytes, kImageBytes, images);
    }
    at += bytes;
  }
}

std::vector<std::string> read_class_names(const fs::path& folder, const Layout& layout) {
  const fs::path path = folder / layout.names;
  if (!path_exists(path)) {
    return {};
  }
  std::vector<std::string> names;
  std::istringstream lines(read_file(path, kNamesLimit));
  for (std::string line; std::getline(lines, line);) {
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) {
      names.push_back(line);
    }
  }
  if (static_cast<int64_t>(names.size()) != layout.classes) {
    throw FormatError(
        fmt::format("'{}': {} class names, {} has {}", path.string(), names.size(), layout.set, layout.classes));
  }
  return names;
}

}  // namespace

ImageData load_cifar(const std::string& folder, Cifar kind, DataSplit split) {
  const Layout& layout = layout_of(kind);
  const fs::path place = find_folder(folder, layout);
  const std::vector<InputFile> files = open_files(place, layout, split);
  int64_t count = 0;
  for (const InputFile& file : files) {
    count += file.size() / layout.record();
  }
  ImageData data{Tensor::empty({count, 3, 32, 32}, DType::u8), Tensor::empty({count}, DType::i64),
                 read_class_names(place, layout)};
  auto* images = data.images.mutable_data<uint8_t>();
  auto* labels = data.labels.mutable_data<int64_t>();
  for (const InputFile& file : files) {
    read_records(file, layout, images, labels);
  }
  return data;
}

bool has_cifar_files(const std::string& folder, Cifar kind) {
  const Layout& layout = layout_of(kind);
  return holds_some(folder, layout) || holds_some(fs::path(folder) / layout.subfolder, layout);
}

}  // namespace sfumato
