// A folder of PNG and JPEG files as a data set, each decoded when it is read.
//
//   ImageFolder flowers("flowers", {.image_size = 64});
//   flowers.class_names();       // {"daisy", "rose"}: flowers/daisy/1.jpg, flowers/rose/wild/2.png ...
//   DataLoader loader(std::make_shared<ImageFolder>(std::move(flowers)), {.batch_size = 32, .threads = 2});
//
// Files are those ending in .png, .jpg or .jpeg (in any case) at any depth, through symbolic links too, in the order of
// their paths' bytes; names that begin with a dot are passed over. The class of an image is the first folder on its
// path, classes are numbered in the order of their names; images that lie in the folder itself have none, and then no
// image has. A folder with train/ and test/ (or val/) in it holds two sets: the split chooses, the classes are those of
// both together.
//
// An image is decoded ("diffusion/image/decode.h"), its shorter side resized to image_size, the middle cut out
// ("diffusion/image/resize.h"), and its bytes mapped to [-1, 1].
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "diffusion/data/open.h"

namespace sfumato {

class ImageFolder : public Dataset {
 public:
  // Opens every file once and looks at its first bytes: so a file that is unreadable, empty or something else under a
  // wrong name is found now, for the price of listing; one that is corrupt further on only when it is read. Throws
  // MissingInput when there is no such folder or no image in it, IoError for what cannot be read, FormatError for a
  // file that is neither PNG nor JPEG, and Error unless image_size is 1 .. 4096 and channels 0, 1 or 3.
  explicit ImageFolder(const std::string& folder, const DatasetOptions& options);

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  Shape sample_shape() const override { return {channels_, image_size_, image_size_}; }
  // Throws FormatError or IoError naming the file.
  void read(int64_t index, float* out, const SampleRandom& random) const override;
  bool has_labels() const override { return !class_names_.empty(); }
  int64_t label(int64_t index) const override;
  int64_t num_classes() const override { return static_cast<int64_t>(class_names_.size()); }
  std::vector<std::string> class_names() const override { return class_names_; }

  // Whether there is an image at any depth. Throws IoError.
  static bool has_images(const std::string& folder);

  // Of image `index`.
  std::filesystem::path path(int64_t index) const;

 private:
  std::filesystem::path root_;
  int64_t image_size_;
  int64_t channels_;
  std::vector<std::string> files_;  // relative to root_
  std::vector<std::string> class_names_;
  std::vector<int32_t> labels_;  // by file; empty without classes
};

}  // namespace sfumato
