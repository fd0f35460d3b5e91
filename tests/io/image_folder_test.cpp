#include "diffusion/data/image_folder.h"

#include <sys/stat.h>

#include <vector>

#include "catch.h"
#include "diffusion/image/png.h"
#include "nn/data/loader.h"
#include "tensor/io/file.h"
#include "tests/io/image_testing.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

struct Fixture {
  TemporaryFolder folder;
  std::string spec = folder.path().string();

  // A grey picture of one value.
  std::filesystem::path put_flat(const std::string& name, int value, int64_t height = 4, int64_t width = 4) {
    std::filesystem::create_directories((folder / name).parent_path());
    return put(folder / name, encode_png(full({height, width, 1}, value, DType::u8)));
  }
  ImageFolder open(DatasetOptions options = {.image_size = 4}) const { return ImageFolder(spec, options); }
  template <class E>
  std::string error(DatasetOptions options = {.image_size = 4}) const {
    return message_of<E>([&] { open(options); });
  }
};

std::vector<float> read(const Dataset& set, int64_t index) {
  std::vector<float> out(static_cast<size_t>(set.sample_shape().numel()));
  set.read(index, out.data(), SampleRandom(0, 0));
  return out;
}

// The value of a flat picture.
int value_of(const Dataset& set, int64_t index) {
  return static_cast<int>(std::lround((read(set, index)[0] + 1) * 127.5));
}

}  // namespace

TEST_CASE_METHOD(Fixture,
                 "image folder: classes are the first folders, files in the order of their paths",
                 "[io][data]") {
  put_flat("rose/b.PNG", 1);
  put_flat("rose/a/deep/er.png", 2);
  put_flat("daisy/z.png", 3);
  put_flat("tulip/1.png", 4);
  put_flat(".hidden/1.png", 5);
  put_flat("tulip/.hidden.png", 6);
  put(folder / "tulip/notes.txt", "no picture");
  put(folder / "rose/c.JpEg", make_jpeg(8, 8, 1, std::string(64, '\x80')));
  std::filesystem::create_directory(folder / "empty");
  const ImageFolder set = open();
  CHECK(set.size() == 5);
  CHECK(set.class_names() == std::vector<std::string>{"daisy", "rose", "tulip"});
  CHECK(set.num_classes() == 3);
  std::vector<int> values, labels;
  for (int64_t i = 0; i < set.size(); ++i) {
    values.push_back(value_of(set, i));
    labels.push_back(static_cast<int>(set.label(i)));
  }
  CHECK(values == std::vector<int>{3, 2, 1, 128, 4});
  CHECK(labels == std::vector<int>{0, 1, 1, 1, 2});
  CHECK(set.path(0) == folder / "daisy/z.png");
  CHECK_THROWS_AS(set.path(5), Error);
  CHECK_THROWS_AS(set.label(-1), Error);
}

TEST_CASE_METHOD(Fixture, "image folder: images in the folder itself mean no labels", "[io][data]") {
  put_flat("b.png", 1);
  put_flat("sub/a.png", 2);
  const ImageFolder set = open();
  CHECK(set.size() == 2);
  CHECK_FALSE(set.has_labels());
  CHECK(set.num_classes() == 0);
  CHECK(set.class_names().empty());
  CHECK_THROWS_AS(set.label(0), Error);
}

TEST_CASE_METHOD(Fixture,
                 "image folder: a picture is resized, cropped, and mapped to [-1, 1] by channel",
                 "[io][data]") {
  // Red rises from column to column, green is 51, blue 255; 2 rows, 4 columns.
  Tensor pixels = tensor_of(
      {0, 51, 255, 51, 51, 255, 102, 51, 255, 255, 51, 255, 0, 51, 255, 51, 51, 255, 102, 51, 255, 255, 51, 255},
      {2, 4, 3}, DType::u8);
  put(folder / "x.png", encode_png(pixels));
  const ImageFolder set = open({.image_size = 2});
  REQUIRE(set.sample_shape() == Shape{3, 2, 2});
  const std::vector<float> sample = read(set, 0);
  const std::vector<double> expected{51, 102, 51, 102, 51, 51, 51, 51, 255, 255, 255, 255};
  for (size_t i = 0; i < 12; ++i) CHECK(sample[i] == Approx(expected[i] / 127.5 - 1));
  CHECK(sample[8] == 1.0f);
  // 0.299 * 51 + 0.587 * 51 + 0.114 * 255 = 74.3
  const ImageFolder grey = open({.image_size = 2, .channels = 1});
  CHECK(grey.sample_shape() == Shape{1, 2, 2});
  CHECK(read(grey, 0)[0] == Approx(74 / 127.5 - 1));
}

TEST_CASE_METHOD(Fixture, "image folder: train/ and test/ are two sets with the same classes", "[io][data]") {
  put_flat("train/b/1.png", 1);
  put_flat("train/c/1.png", 2);
  put_flat("val/a/1.png", 3);
  put_flat("val/c/1.png", 4);
  const ImageFolder train = open(), test = open({.split = DataSplit::test, .image_size = 4});
  CHECK(train.class_names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(test.class_names() == train.class_names());
  CHECK(value_of(train, 0) == 1);
  CHECK(train.label(0) == 1);
  CHECK(value_of(test, 1) == 4);
  CHECK(test.label(1) == 2);
  std::filesystem::remove_all(folder / "val");
  CHECK(open().class_names() == std::vector<std::string>{"train"});
  CHECK_THAT(error<MissingInput>({.split = DataSplit::test, .image_size = 4}), ContainsSubstring("no test split"));
}

TEST_CASE_METHOD(Fixture, "image folder: links are followed, not for ever", "[io][data]") {
  put_flat("cat/1.png", 1);
  std::filesystem::create_directory_symlink(folder / "cat", folder / "kitten");
  std::filesystem::create_directory_symlink(folder.path(), folder / "cat/loop");
  const ImageFolder set = open();
  CHECK(set.size() == 2);
  CHECK(set.class_names() == std::vector<std::string>{"cat", "kitten"});
}

TEST_CASE_METHOD(Fixture, "image folder: what can be seen cheaply is refused when it is opened", "[io][data]") {
  CHECK_THAT(error<MissingInput>(), ContainsSubstring("no .png, .jpg or .jpeg files"));
  put_flat("a/1.png", 1);
  CHECK_THAT(error<Error>({}), ContainsSubstring("needs image_size"));
  CHECK_THROWS_AS(open({.image_size = 4097}), Error);
  CHECK_THROWS_AS(open({.image_size = -1}), Error);
  CHECK_THROWS_AS(open({.image_size = 4, .channels = 2}), Error);
  put(folder / "a/2.png", "RIFFxxxxWEBP");
  CHECK_THAT(error<FormatError>(), ContainsSubstring("a/2.png': is neither a PNG nor a JPEG"));
  put(folder / "a/2.png", "");
  CHECK_THAT(error<FormatError>(), ContainsSubstring("a/2.png': is empty"));
  std::filesystem::remove(folder / "a/2.png");
  REQUIRE(::mkfifo((folder / "a/2.png").c_str(), 0600) == 0);
  CHECK_THAT(error<IoError>(), ContainsSubstring("a/2.png': not a regular file"));
  std::filesystem::remove(folder / "a/2.png");
  std::filesystem::create_symlink("nowhere", folder / "a/2.png");
  CHECK_THAT(error<MissingInput>(), ContainsSubstring("a/2.png"));
  CHECK_THAT(message_of<MissingInput>([&] { ImageFolder(spec + "/none", {.image_size = 4}); }),
             ContainsSubstring("no such folder"));
  CHECK_THAT(message_of<MissingInput>([&] { ImageFolder(spec + "/a/1.png", {.image_size = 4}); }),
             ContainsSubstring("no such folder"));
}

TEST_CASE_METHOD(Fixture, "image folder: a file that is broken further on names itself when it is read", "[io][data]") {
  for (int i = 0; i < 8; ++i) put_flat("a/" + std::to_string(i) + ".png", i);
  const std::string png = get(folder / "a/5.png");
  put(folder / "a/5.png", png.substr(0, png.size() - 20));
  const auto set = std::make_shared<ImageFolder>(open());
  CHECK_THAT(message_of<FormatError>([&] { read(*set, 5); }), ContainsSubstring((folder / "a/5.png").string()));
  for (const int threads : {0, 1, 4}) {
    DataLoader loader(set, {.batch_size = 4, .shuffle = false, .threads = threads});
    CHECK(loader.next().images.shape() == Shape{4, 3, 4, 4});
    CHECK_THAT(message_of<FormatError>([&] { loader.next(); }), ContainsSubstring("a/5.png': is a corrupt PNG"));
  }
  std::filesystem::remove(folder / "a/6.png");
  CHECK_THROWS_AS(read(*set, 6), MissingInput);
}

TEST_CASE_METHOD(Fixture, "image folder: the batches are the same for every number of threads", "[io][data]") {
  for (int i = 0; i < 9; ++i) {
    const int width = 20 + i * 3, height = 40 - i * 2;
    std::filesystem::create_directories(folder / std::to_string(i % 2));
    put(folder / (std::to_string(i % 2) + "/" + std::to_string(i) + ".jpg"),
        make_jpeg(width, height, 3, smooth_pixels(width, height, 3)));
  }
  const auto set = std::make_shared<ImageFolder>(open({.image_size = 12}));
  std::vector<std::vector<double>> all;
  for (const int threads : {0, 1, 4}) {
    DataLoader loader(set, {.batch_size = 5, .seed = 3, .horizontal_flip = true, .threads = threads});
    std::vector<double> values;
    for (int i = 0; i < 6; ++i) {
      const Batch batch = loader.next();
      for (const Tensor& t : {batch.images, batch.labels.to(DType::f32)}) {
        const auto part = t.to_vector();
        values.insert(values.end(), part.begin(), part.end());
      }
    }
    all.push_back(values);
  }
  CHECK(all[0].size() == 6 * (5 * 3 * 12 * 12 + 5));
  CHECK((all[0] == all[1]));
  CHECK((all[0] == all[2]));
}
