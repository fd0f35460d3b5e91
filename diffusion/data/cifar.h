// CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary version: https://www.cs.toronto.edu/~kriz/cifar.html
//
//   ImageData train = load_cifar("cifar-10-batches-bin", Cifar::ten);                        // (50000, 3, 32, 32)
//   ImageData test = load_cifar("cifar-100-binary", Cifar::hundred, DataSplit::test);
//
// A file is a row of records: one label byte (CIFAR-100: a coarse one, ignored here, then the fine one), then 1024
// bytes each of red, green and blue, row-major. The files themselves hold 10,000 records each (CIFAR-100: 50,000 and
// 10,000); any number but 0 is read. Class names come from batches.meta.txt or fine_label_names.txt, if it is there.
#pragma once

#include <string>

#include "diffusion/data/image_data.h"

namespace sfumato {

enum class Cifar { ten, hundred };

// Looks in the folder and in cifar-10-batches-bin/ or cifar-100-binary/ below it. Throws MissingInput naming every file
// of the split that is not there, IoError when one cannot be read, and FormatError naming the file for a size that is
// no multiple of a record, a label out of range, or a wrong number of class names.
ImageData load_cifar(const std::string& folder, Cifar kind, DataSplit split = DataSplit::train);

// Whether one of the set's data files lies where load_cifar looks.
bool has_cifar_files(const std::string& folder, Cifar kind);

}  // namespace sfumato
