// Sets of images as they come: bytes, with or without labels.
//
//   ImageData data = load_image_data("fashion-mnist");       // Debian's package dataset-fashion-mnist
//   ImageData test = load_image_data("my/folder", DataSplit::test);
//   data.images.shape();                                     // (60000, 1, 28, 28)
//
// A folder holds the four files of MNIST, each plain or with .gz: train-images-idx3-ubyte, train-labels-idx1-ubyte,
// t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace sfumato {

struct ImageData {
  Tensor images;  // u8 (N, C, H, W)
  Tensor labels;  // i64 (N), or undefined when the set has none
};

enum class DataSplit { train, test };

// `spec` is "fashion-mnist" or a folder. Throws MissingInput naming what was looked for when a folder or file is not
// there, IoError when one cannot be read, and FormatError when one is broken, empty, or images and labels differ in
// number.
ImageData load_image_data(const std::string& spec, DataSplit split = DataSplit::train);

}  // namespace sfumato
