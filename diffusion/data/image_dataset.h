// Images as a diffusion model sees them: u8 0..255 mapped to f32 [-1, 1], optionally on a larger canvas.
//
//   auto dataset = std::make_shared<ImageDataset>(load_image_data("fashion-mnist"), /*canvas=*/32);
//   DataLoader loader(dataset, {.batch_size = 128, .seed = 1});
//
// x -> x / 127.5 - 1, computed in f64 and rounded once. The canvas around an image is -1 (black), the image in its
// middle; images are never resized.
#pragma once

#include <array>

#include "diffusion/data/image_data.h"
#include "nn/data/dataset.h"

namespace sfumato {

class ImageDataset : public Dataset {
 public:
  // `canvas`: height and width of a sample; 0 keeps the image's. Throws Error when an image does not fit on it, or when
  // the data are not u8 (N, C, H, W) with i64 (N) labels from 0 on, below the number of class names if there are any,
  // or none.
  explicit ImageDataset(ImageData data, int64_t canvas = 0);

  int64_t size() const override { return data_.images.size(0); }
  Shape sample_shape() const override { return shape_; }
  void read(int64_t index, float* out, const SampleRandom& random) const override;
  bool has_labels() const override { return data_.labels.defined(); }
  int64_t label(int64_t index) const override;
  // The number of class names; without names, the largest label and one.
  int64_t num_classes() const override { return num_classes_; }
  std::vector<std::string> class_names() const override { return data_.class_names; }

 private:
  ImageData data_;
  Shape shape_;  // (C, H, W) of a sample
  int64_t num_classes_ = 0;
};

// What each byte becomes: i / 127.5 - 1.
const std::array<float, 256>& pixel_values();

}  // namespace sfumato
