#include "diffusion/data/open.h"

#include <fstream>
#include <vector>

#include "catch.h"
#include "diffusion/image/png.h"
#include "tensor/io/file.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

struct Fixture {
  TemporaryFolder folder;
  std::string spec = folder.path().string();

  void put_idx(uint32_t images = 2, uint32_t labels = 2) {
    const auto size = [](uint32_t n) { return std::string{0, 0, 0, static_cast<char>(n)}; };
    for (const char* prefix : {"train", "t10k"}) {
      put(folder / (std::string(prefix) + "-images-idx3-ubyte"),
          std::string{0, 0, 8, 3} + size(images) + size(2) + size(3) + std::string(images * 6, '\x33'));
      put(folder / (std::string(prefix) + "-labels-idx1-ubyte"),
          std::string{0, 0, 8, 1} + size(labels) + std::string(labels, '\x04'));
    }
  }
  void put_cifar(const std::string& below, int labels) {
    std::filesystem::create_directories(folder / below);
    const std::string record = std::string(static_cast<size_t>(labels), '\x03') + std::string(1024, '\xff') +
                               std::string(1024, '\0') + std::string(1024, '\x64');
    if (labels == 2) {
      put(folder / (below + "/train.bin"), record);
      return;
    }
    for (int i = 1; i <= 5; ++i) put(folder / (below + "/data_batch_" + std::to_string(i) + ".bin"), record);
  }
  void put_png(const std::string& name) {
    std::filesystem::create_directories((folder / name).parent_path());
    put(folder / name, encode_png(full({6, 6, 1}, 51, DType::u8)));
  }
  template <class E>
  std::string error(const std::string& what, const DatasetOptions& options = {}) {
    return message_of<E>([&] { open_dataset(what, options); });
  }
};

std::vector<float> read(const Dataset& set, int64_t index = 0) {
  std::vector<float> out(static_cast<size_t>(set.sample_shape().numel()));
  set.read(index, out.data(), SampleRandom(0, 0));
  return out;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "open dataset: a folder of idx files", "[io][data]") {
  put_idx();
  for (const std::string& what : {spec, "idx:" + spec}) {
    const auto set = open_dataset(what);
    CHECK(set->size() == 2);
    CHECK(set->sample_shape() == Shape{1, 2, 3});
    CHECK(set->num_classes() == 5);
    CHECK(set->class_names().empty());
  }
  CHECK(open_dataset(spec, {.split = DataSplit::test, .image_size = 5})->sample_shape() == Shape{1, 5, 5});
  const auto color = open_dataset(spec, {.image_size = 4, .channels = 3});
  REQUIRE(color->sample_shape() == Shape{3, 4, 4});
  for (const int at : {4, 20, 36}) CHECK(read(*color)[static_cast<size_t>(at)] == Approx(51 / 127.5 - 1));
  CHECK_THAT(error<Error>(spec, {.image_size = 2}), ContainsSubstring("2 x 3 do not fit in image_size 2"));
  CHECK_THAT(error<Error>(spec, {.channels = 2}), ContainsSubstring("channels must be 1 (grey) or 3 (colour), got 2"));
  std::filesystem::remove(folder / "train-images-idx3-ubyte");
  std::filesystem::remove(folder / "train-labels-idx1-ubyte");
  CHECK_THAT(error<MissingInput>(spec),
             ContainsSubstring("no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz, no file train-labels"));
}

TEST_CASE_METHOD(Fixture, "open dataset: CIFAR, here or below, and in grey", "[io][data]") {
  put_cifar("cifar-10-batches-bin", 1);
  CHECK(open_dataset(spec)->size() == 5);
  CHECK(open_dataset(spec)->sample_shape() == Shape{3, 32, 32});
  CHECK(open_dataset(spec + "/cifar-10-batches-bin")->label(4) == 3);
  CHECK(open_dataset("cifar10:" + spec)->num_classes() == 4);
  const auto grey = open_dataset(spec, {.channels = 1});
  CHECK(grey->sample_shape() == Shape{1, 32, 32});
  CHECK(read(*grey)[9] == Approx(88 / 127.5 - 1));  // 0.299 * 255 + 0.114 * 100 = 87.6
  put_cifar("cifar-100-binary", 2);
  CHECK(open_dataset("cifar100:" + spec)->size() == 1);
  CHECK(open_dataset("cifar10:" + spec)->size() == 5);
  CHECK_THAT(error<FormatError>(spec),
             ContainsSubstring("more than one set; say which: cifar10:" + spec + " or cifar100:"));
  CHECK_THAT(error<MissingInput>(spec + "/cifar-100-binary", {.split = DataSplit::test}),
             ContainsSubstring("CIFAR-100 is not complete: no test.bin"));
}

TEST_CASE_METHOD(Fixture, "open dataset: a folder of pictures, the last to be looked for", "[io][data]") {
  put_png("a/b/1.png");
  const auto set = open_dataset(spec, {.image_size = 3});
  CHECK(set->sample_shape() == Shape{3, 3, 3});
  CHECK(set->class_names() == std::vector<std::string>{"a"});
  CHECK_THAT(error<Error>(spec), ContainsSubstring("needs image_size"));
  put_idx();
  CHECK(open_dataset(spec)->sample_shape() == Shape{1, 2, 3});
  CHECK(open_dataset("folder:" + spec, {.image_size = 3, .channels = 1})->sample_shape() == Shape{1, 3, 3});
}

TEST_CASE_METHOD(Fixture, "open dataset: points by name", "[io][data]") {
  for (const std::string& name : dataset_names()) {
    if (name == "fashion-mnist") continue;
    CHECK(open_dataset(name)->sample_shape() == Shape{2});
    CHECK(read(*open_dataset("toy:" + name), 5) == read(*open_dataset(name), 5));
    CHECK(read(*open_dataset(name, {.split = DataSplit::test}), 5) != read(*open_dataset(name), 5));
  }
  CHECK(dataset_names().size() == 7);
  CHECK_THAT(error<MissingInput>("toy:roll"), ContainsSubstring("'roll' (there are swissroll, moons, checkerboard"));
  CHECK_THAT(error<Error>("moons", {.image_size = 32}), ContainsSubstring("no image_size"));
  CHECK_THAT(error<Error>("moons", {.channels = 3}), ContainsSubstring("no channels"));
}

TEST_CASE_METHOD(Fixture, "open dataset: what is not found is named, with what was looked for", "[io][data]") {
  CHECK_THAT(
      error<MissingInput>("no/such/thing"),
      ContainsSubstring("data 'no/such/thing': no such folder, and no data set of that name (fashion-mnist, swiss"));
  CHECK_THAT(error<MissingInput>(put(folder / "file", "x").string()), ContainsSubstring("not a folder"));
  std::filesystem::create_directory(folder / "empty");
  const std::string empty = spec + "/empty";
  for (const char* name : {"train-images-idx3-ubyte", "data_batch_1.bin", "train.bin", ".png"}) {
    CHECK_THAT(error<MissingInput>(empty), ContainsSubstring(name));
  }
  for (const char* prefix : {"idx:", "cifar10:", "cifar100:"}) {
    CHECK_FALSE(error<MissingInput>(prefix + empty).empty());
    CHECK_FALSE(error<MissingInput>(std::string(prefix) + "no/such").empty());
    CHECK_FALSE(error<MissingInput>(prefix).empty());
  }
  CHECK_FALSE(error<MissingInput>("folder:" + empty, {.image_size = 4}).empty());
  CHECK_FALSE(error<MissingInput>("folder:", {.image_size = 4}).empty());
  CHECK_FALSE(error<MissingInput>("").empty());
}

TEST_CASE_METHOD(Fixture, "open dataset: unequal numbers of images and labels are refused", "[io][data]") {
  put_idx(3, 2);
  CHECK_THAT(error<FormatError>(spec), ContainsSubstring("3 images but 2 labels"));
}

TEST_CASE("open dataset: Debian's Fashion-MNIST has class names", "[io][data]") {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) return;
  const auto test = open_dataset("fashion-mnist", {.split = DataSplit::test, .image_size = 32});
  CHECK(test->size() == 10000);
  CHECK(test->sample_shape() == Shape{1, 32, 32});
  CHECK(test->num_classes() == 10);
  CHECK(test->class_names().at(9) == "Ankle boot");
  CHECK(test->label(0) == 9);
}
