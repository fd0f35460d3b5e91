// The one door to data: what a user writes after --data becomes a Dataset.
//
//   auto train = open_dataset("fashion-mnist", {.image_size = 32});
//   auto test = open_dataset("sets/cifar-10-batches-bin", {.split = DataSplit::test});
//   auto faces = open_dataset("folder:photos", {.image_size = 64, .channels = 3});
//   auto points = open_dataset("swissroll");                      // sample_shape() == (2)
//   DataLoader loader(train, {.batch_size = 128, .seed = 1, .horizontal_flip = true});
//
// A spec is a name of dataset_names(), or a folder whose kind is told from the names in it:
//
//   idx        train-images-idx3-ubyte and the other three files of MNIST, each plain or with .gz
//   cifar10    data_batch_1.bin .. data_batch_5.bin, test_batch.bin, here or in cifar-10-batches-bin/
//   cifar100   train.bin, test.bin, here or in cifar-100-binary/; the labels are the 100 fine ones
//   folder     PNG and JPEG files at any depth; labels from the first folder's name
//
// The first three are looked for in this order, images only where none of them is found; a folder that could be two of
// them is refused. A prefix decides instead of looking: idx:DIR, cifar10:DIR, cifar100:DIR, folder:DIR, toy:NAME; and
// oracle:NAME draws from a closed form ("diffusion/oracle/named.h").
// Images come as (C, H, W) in [-1, 1], black -1; points as (2), centred, of about unit variance. See docs/data.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "diffusion/data/image_data.h"
#include "nn/data/dataset.h"

namespace sfumato {

struct DatasetOptions {
  DataSplit split = DataSplit::train;
  // Height and width of a sample. idx and CIFAR images are padded with black to it (0: left as they are); images of
  // folders are resized and cropped to it and need it; points have none.
  int64_t image_size = 0;
  // 1: grey, 3: red, green, blue; converted where the files have the other. 0: as the files of idx and CIFAR have it,
  // 3 for folders.
  int64_t channels = 0;
};

// Throws MissingInput naming what was looked for when nothing is recognised or files of a set are missing, IoError for
// what cannot be read, FormatError naming the file for what is broken or the folder that could be two sets, and Error
// for options that do not fit the data (their names are in the message). What is in an image file of a folder is found
// out when it is read: see "diffusion/data/image_folder.h".
std::shared_ptr<const Dataset> open_dataset(const std::string& spec, const DatasetOptions& options = {});

// The names that are a spec by themselves: fashion-mnist and the sets of points.
std::vector<std::string> dataset_names();

}  // namespace sfumato
