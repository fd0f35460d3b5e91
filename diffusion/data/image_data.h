// Sets of images as they come: bytes, with or without labels, small enough to be held in memory.
//
//   ImageData data = load_image_data("fashion-mnist");       // Debian's package dataset-fashion-mnist
//   ImageData test = load_image_data("my/folder", DataSplit::test);
//   data.images.shape();                                     // (60000, 1, 28, 28)
//
// A folder holds the four files of MNIST, each plain or with .gz: train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte. For the other formats see "diffusion/data/cifar.h"; for all of them
// "diffusion/data/open.h".
#pragma once

#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace sfumato {

struct ImageData {
  Tensor images = {};                         // u8 (N, C, H, W)
  Tensor labels = {};                         // i64 (N), or undefined when the set has none
  std::vector<std::string> class_names = {};  // by label; empty where classes have no names
};

enum class DataSplit { train, test };

// `spec` is "fashion-mnist" or a folder. Throws MissingInput naming what was looked for when a folder or files are not
// there, IoError when one cannot be read, and FormatError when one is broken, empty, or images and labels differ in
// number.
ImageData load_image_data(const std::string& spec, DataSplit split = DataSplit::train);

// Whether one of MNIST's four files lies in the folder.
bool has_idx_files(const std::string& folder);

// The data with `channels` channels: grey (1) becomes colour (3) by repetition, colour becomes grey by luma() of
// "diffusion/image/decode.h"; 0 changes nothing. Throws Error for other numbers.
ImageData with_channels(ImageData data, int64_t channels);

}  // namespace sfumato
