#include "diffusion/data/image_folder.h"

#include <algorithm>
#include <set>

#include "diffusion/data/image_dataset.h"
#include "diffusion/image/decode.h"
#include "diffusion/image/resize.h"
#include "tensor/io/file.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxImageSize = 4096;
// More than any image within the pixel limit needs, and little enough to be read at once.
constexpr int64_t kMaxFileBytes = int64_t{1} << 30;

bool is_image_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

[[noreturn]] void fail(const fs::path& path, const std::error_code& error) {
  throw IoError(fmt::format("cannot list '{}': {}", path.string(), error.message()), error.value());
}

// Names in a folder, without hidden ones.
std::vector<std::string> list(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (name[0] != '.') {
      names.push_back(std::move(name));
    }
  }
  if (error) {
    fail(folder, error);
  }
  return names;
}

// Finds the images below a folder, as paths relative to it, in order; no more than `limit` of them.
class Search {
 public:
  explicit Search(const fs::path& root, size_t limit = SIZE_MAX) : limit_(limit) {
    visit(root, "");
    std::sort(files_.begin(), files_.end());
  }
  std::vector<std::string> take() { return std::move(files_); }

 private:
  void visit(const fs::path& folder, const std::string& prefix) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (error) {
      fail(folder, error);
    }
    if (std::find(open_.begin(), open_.end(), real) != open_.end()) {
      return;  // a link to a folder that we are in
    }
    open_.push_back(real);
    for (const std::string& name : list(folder)) {
      if (files_.size() >= limit_) {
        break;
      }
      if (is_folder(folder / name)) {
        visit(folder / name, prefix + name + '/');
      } else if (is_image_name(name)) {
        files_.push_back(prefix + name);
      }
    }
    open_.pop_back();
  }

  size_t limit_;
  std::vector<fs::path> open_;  // the folders that we are in
  std::vector<std::string> files_;
};

// First folder of a relative path; empty when there is none.
std::string class_of(const std::string& file) {
  const size_t slash = file.find('/');
  return slash == std::string::npos ? std::string() : file.substr(0, slash);
}

// Where the split's images are; {folder} when the folder is not split.
struct Splits {
  fs::path chosen;
  fs::path other;  // empty when the folder is not split
};

Splits find_splits(const fs::path& folder, DataSplit split) {
  const fs::path train = folder / "train";
  for (const char* name : {"test", "val"}) {
    if (is_folder(train) && is_folder(folder / name)) {
      return split == DataSplit::train ? Splits{train, folder / name} : Splits{folder / name, train};
    }
  }
  if (split == DataSplit::test) {
    throw MissingInput(
        fmt::format("data '{}': has no test split (folders train/ and test/ or val/ in it would be)", folder.string()));
  }
  return {folder, {}};
}

void check_first_bytes(const fs::path& path) {
  const InputFile file(path);
  char bytes[8];
  const size_t count = std::min<size_t>(sizeof(bytes), static_cast<size_t>(file.size()));
  file.read_at(0, bytes, count);
  if (!recognize_image({bytes, count})) {
    throw FormatError(
        fmt::format("'{}': {}", path.string(), count == 0 ? "is empty" : "is neither a PNG nor a JPEG file"));
  }
}

Tensor read_bytes(const fs::path& path) {
  const InputFile file(path);
  if (file.size() > kMaxFileBytes) {
    throw FormatError(fmt::format("'{}': {} bytes are too many for an image", path.string(), file.size()));
  }
  Tensor bytes = Tensor::empty({file.size()}, DType::u8);
  file.read_at(0, bytes.mutable_data<uint8_t>(), static_cast<size_t>(file.size()));
  return bytes;
}

}  // namespace

ImageFolder::ImageFolder(const std::string& folder, const DatasetOptions& options)
    : image_size_(options.image_size), channels_(options.channels == 0 ? 3 : options.channels) {
  if (!is_folder(folder)) {
    throw MissingInput(fmt::format("data '{}': no such folder", folder));
  }
  check(image_size_ >= 1 && image_size_ <= kMaxImageSize, "data '", folder,
        "': a folder of images needs image_size, 1 to ", kMaxImageSize, ", got ", image_size_);
  check(channels_ == 1 || channels_ == 3, "data '", folder, "': channels must be 1 (grey) or 3 (colour), got ",
        channels_);
  const Splits splits = find_splits(folder, options.split);
  root_ = splits.chosen;
  files_ = Search(root_).take();
  if (files_.empty()) {
    throw MissingInput(fmt::format("data '{}': no .png, .jpg or .jpeg files in it", root_.string()));
  }

  std::set<std::string> classes;
  for (const std::string& file : files_) {
    classes.insert(class_of(file));
  }
  if (!classes.contains("")) {
    for (const std::string& file : splits.other.empty() ? std::vector<std::string>() : Search(splits.other).take()) {
      classes.insert(class_of(file));
    }
    classes.erase("");
    class_names_.assign(classes.begin(), classes.end());
    for (const std::string& file : files_) {
      const auto place = std::lower_bound(class_names_.begin(), class_names_.end(), class_of(file));
      labels_.push_back(static_cast<int32_t>(place - class_names_.begin()));
    }
  }
  for (int64_t i = 0; i < size(); ++i) {
    check_first_bytes(path(i));
  }
}

bool ImageFolder::has_images(const std::string& folder) { return !Search(folder, 1).take().empty(); }

std::filesystem::path ImageFolder::path(int64_t index) const {
  check(index >= 0 && index < size(), "ImageFolder: index ", index, " is out of range for ", size(), " images");
  return root_ / files_[static_cast<size_t>(index)];
}

void ImageFolder::read(int64_t index, float* out, const SampleRandom&) const {
  const fs::path file = path(index);
  const Tensor bytes = read_bytes(file);
  const std::string_view content(reinterpret_cast<const char*>(bytes.data<uint8_t>()),
                                 static_cast<size_t>(bytes.numel()));
  const Tensor pixels = resize_to_square(decode_image(content, channels_, file.string()), image_size_);
  const auto& value_of = pixel_values();
  const uint8_t* from = pixels.data<uint8_t>();
  for (int64_t c = 0; c < channels_; ++c) {
    for (int64_t i = 0; i < image_size_ * image_size_; ++i) {
      *out++ = value_of[from[i * channels_ + c]];
    }
  }
}

int64_t ImageFolder::label(int64_t index) const {
  check(has_labels(), "ImageFolder: these images have no labels");
  check(index >= 0 && index < size(), "ImageFolder: index ", index, " is out of range for ", size(), " images");
  return labels_[static_cast<size_t>(index)];
}

}  // namespace sfumato
