#include "diffusion/data/image_dataset.h"

#include <algorithm>
#include <utility>

namespace sfumato {
namespace {

int64_t count_classes(const ImageData& data) {
  if (!data.labels.defined() || data.labels.numel() == 0) {
    return 0;
  }
  const auto* labels = data.labels.data<int64_t>();
  const auto [least, most] = std::minmax_element(labels, labels + data.labels.numel());
  const auto names = static_cast<int64_t>(data.class_names.size());
  check(*least >= 0 && (names == 0 || *most < names), "ImageDataset: labels from ", *least, " to ", *most, ", but ",
        names, " class names");
  return names > 0 ? names : *most + 1;
}

}  // namespace

const std::array<float, 256>& pixel_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all{};
    for (size_t i = 0; i < all.size(); ++i) {
      all[i] = static_cast<float>(static_cast<double>(i) / 127.5 - 1.0);
    }
    return all;
  }();
  return values;
}

ImageDataset::ImageDataset(ImageData data, int64_t canvas) : data_(std::move(data)) {
  check(data_.images.defined() && data_.images.dtype() == DType::u8 && data_.images.dim() == 4,
        "ImageDataset: images must be u8 (N, C, H, W), got ", data_.images.dtype(), " ", data_.images.shape());
  const Shape& shape = data_.images.shape();
  if (data_.labels.defined()) {
    check(data_.labels.dtype() == DType::i64 && data_.labels.shape() == Shape{shape[0]}, "ImageDataset: ", shape[0],
          " images want i64 labels of that number, got ", data_.labels.dtype(), " ", data_.labels.shape());
  }
  check(canvas == 0 || (canvas >= shape[2] && canvas >= shape[3]), "ImageDataset: images of ", shape[2], " x ",
        shape[3], " do not fit in image_size ", canvas);
  shape_ = canvas == 0 ? Shape{shape[1], shape[2], shape[3]} : Shape{shape[1], canvas, canvas};
  data_.images = data_.images.contiguous();
  data_.labels = data_.labels.defined() ? data_.labels.contiguous() : Tensor();
  num_classes_ = count_classes(data_);
}

void ImageDataset::read(int64_t index, float* out, const SampleRandom&) const {
  check(index >= 0 && index < size(), "ImageDataset: index ", index, " is out of range for ", size(), " images");
  const Shape& images = data_.images.shape();
  const int64_t channels = images[1], height = images[2], width = images[3];
  const int64_t top = (shape_[1] - height) / 2, left = (shape_[2] - width) / 2;
  const uint8_t* from = data_.images.data<uint8_t>() + index * channels * height * width;
  const auto& value_of = pixel_values();
  std::fill_n(out, shape_.numel(), -1.0f);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      float* row = out + (c * shape_[1] + top + y) * shape_[2] + left;
      for (int64_t x = 0; x < width; ++x) {
        row[x] = value_of[*from++];
      }
    }
  }
}

int64_t ImageDataset::label(int64_t index) const {
  check(has_labels(), "ImageDataset: these data have no labels");
  check(index >= 0 && index < size(), "ImageDataset: index ", index, " is out of range for ", size(), " images");
  return data_.labels.data<int64_t>()[index];
}

}  // namespace sfumato
