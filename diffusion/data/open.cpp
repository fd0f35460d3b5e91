#include "diffusion/data/open.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "diffusion/data/cifar.h"
#include "diffusion/data/image_dataset.h"
#include "diffusion/data/image_folder.h"
#include "diffusion/data/toy.h"
#include "diffusion/oracle/oracle_network.h"
#include "tensor/io/file.h"

namespace sfumato {
namespace {

namespace fs = std::filesystem;
using Opened = std::shared_ptr<const Dataset>;

Opened in_memory(ImageData data, const DatasetOptions& options) {
  return std::make_shared<ImageDataset>(with_channels(std::move(data), options.channels), options.image_size);
}

Opened open_idx(const std::string& folder, const DatasetOptions& options) {
  return in_memory(load_image_data(folder, options.split), options);
}

Opened open_cifar10(const std::string& folder, const DatasetOptions& options) {
  return in_memory(load_cifar(folder, Cifar::ten, options.split), options);
}

Opened open_cifar100(const std::string& folder, const DatasetOptions& options) {
  return in_memory(load_cifar(folder, Cifar::hundred, options.split), options);
}

Opened open_folder(const std::string& folder, const DatasetOptions& options) {
  return std::make_shared<ImageFolder>(folder, options);
}

Opened open_toy(const std::string& name, const DatasetOptions& options) {
  auto points = std::make_shared<ToyDataset>(name, options.split);
  check(options.image_size == 0, "data '", name, "': points have no image_size, got ", options.image_size);
  check(options.channels == 0, "data '", name, "': points have no channels, got ", options.channels);
  return points;
}

Opened open_oracle(const std::string& name, const DatasetOptions& options) {
  check(options.image_size == 0 && options.channels == 0, "data 'oracle:", name,
        "': an oracle's samples have the size and channels that they have, got image_size ", options.image_size,
        " and channels ", options.channels);
  return std::make_shared<OracleDataset>(named_oracle(name), options.split == DataSplit::train ? 0x5f0a70 : 0x5f0a71);
}

struct Kind {
  std::string_view prefix;
  Opened (*open)(const std::string& where, const DatasetOptions& options);
  // Whether the folder holds one; null for kinds that are not told from a folder.
  bool (*recognizes)(const std::string& folder);
};

constexpr Kind kKinds[] = {
    {"idx", open_idx, has_idx_files},
    {"cifar10", open_cifar10, [](const std::string& folder) { return has_cifar_files(folder, Cifar::ten); }},
    {"cifar100", open_cifar100, [](const std::string& folder) { return has_cifar_files(folder, Cifar::hundred); }},
    {"folder", open_folder, nullptr},
    {"toy", open_toy, nullptr},
    {"oracle", open_oracle, nullptr},
};

Opened open_recognized(const std::string& folder, const DatasetOptions& options) {
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) {
    throw MissingInput(fmt::format("data '{}': no such folder, and no data set of that name ({})", folder,
                                   fmt::join(dataset_names(), ", ")));
  }
  if (!fs::is_directory(folder, ignored)) {
    throw MissingInput(fmt::format("data '{}': not a folder", folder));
  }
  std::vector<const Kind*> found;
  for (const Kind& kind : kKinds) {
    if (kind.recognizes != nullptr && kind.recognizes(folder)) {
      found.push_back(&kind);
    }
  }
  if (found.size() > 1) {
    throw FormatError(fmt::format("data '{0}': holds more than one set; say which: {1}:{0} or {2}:{0}", folder,
                                  found[0]->prefix, found[1]->prefix));
  }
  if (!found.empty()) {
    return found[0]->open(folder, options);
  }
  if (!ImageFolder::has_images(folder)) {
    throw MissingInput(
        fmt::format("data '{}': nothing known in it; looked for train-images-idx3-ubyte and its kin, data_batch_1.bin "
                    "(CIFAR-10), train.bin (CIFAR-100), and .png, .jpg or .jpeg at any depth",
                    folder));
  }
  return open_folder(folder, options);
}

}  // namespace

std::vector<std::string> dataset_names() {
  std::vector<std::string> names = ToyDataset::names();
  names.insert(names.begin(), "fashion-mnist");
  return names;
}

std::shared_ptr<const Dataset> open_dataset(const std::string& spec, const DatasetOptions& options) {
  for (const Kind& kind : kKinds) {
    if (spec.starts_with(kind.prefix) && spec.substr(kind.prefix.size()).starts_with(":")) {
      return kind.open(spec.substr(kind.prefix.size() + 1), options);
    }
  }
  const auto toys = ToyDataset::names();
  if (std::find(toys.begin(), toys.end(), spec) != toys.end()) {
    return open_toy(spec, options);
  }
  return spec == "fashion-mnist" ? open_idx(spec, options) : open_recognized(spec, options);
}

}  // namespace sfumato
