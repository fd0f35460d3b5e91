#include "diffusion/data/cifar.h"

#include <vector>

#include "catch.h"
#include "tensor/io/file.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

constexpr const char* kTrain10[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                    "data_batch_5.bin"};

// A record of 3072 bytes: red all `value`, green value + 1, blue value + 2, but for the first pixel's red, 255.
std::string record(const std::string& labels, int value) {
  std::string image;
  for (int c = 0; c < 3; ++c) image += std::string(1024, static_cast<char>(value + c));
  image[0] = '\xff';
  return labels + image;
}

struct Fixture {
  TemporaryFolder folder;
  std::string spec = folder.path().string();

  void put_ten(const std::filesystem::path& below) {
    std::filesystem::create_directories(below);
    for (int i = 0; i < 5; ++i) {
      // Two records a file, labels 0 1, 1 2, ... 4 5; values 10 20, 30 40, ...
      put(below / kTrain10[i],
          record({static_cast<char>(i)}, i * 20 + 10) + record({static_cast<char>(i + 1)}, i * 20 + 20));
    }
    put(below / "test_batch.bin", record("\x09", 7));
  }
  template <class E>
  std::string error(Cifar kind = Cifar::ten, DataSplit split = DataSplit::train) {
    return message_of<E>([&] { load_cifar(spec, kind, split); });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "cifar: CIFAR-10's files make one set, in their order", "[io][data]") {
  for (const char* below : {"", "cifar-10-batches-bin"}) {
    std::filesystem::remove_all(folder.path());
    put_ten(folder / below);
    const ImageData train = load_cifar(spec, Cifar::ten);
    CHECK(train.images.shape() == Shape{10, 3, 32, 32});
    CHECK(train.labels.to_vector() == std::vector<double>{0, 1, 1, 2, 2, 3, 3, 4, 4, 5});
    const auto* pixels = train.images.data<uint8_t>();
    for (int64_t n = 0; n < 10; ++n) {
      const uint8_t* image = pixels + n * 3072;
      CHECK(int{image[0]} == 255);
      CHECK(int{image[1]} == n * 10 + 10);
      CHECK(int{image[1024]} == n * 10 + 11);
      CHECK(int{image[3071]} == n * 10 + 12);
    }
    CHECK(train.class_names.empty());
    CHECK(load_cifar(spec, Cifar::ten, DataSplit::test).labels.to_vector() == std::vector<double>{9});
    CHECK(has_cifar_files(spec, Cifar::ten));
    CHECK_FALSE(has_cifar_files(spec, Cifar::hundred));
  }
}

TEST_CASE_METHOD(Fixture, "cifar: CIFAR-100 has two labels, of which the fine one counts", "[io][data]") {
  put(folder / "train.bin", record({3, 99}, 1) + record({4, 0}, 2));
  put(folder / "test.bin", record({'\xff', 50}, 3));
  CHECK(load_cifar(spec, Cifar::hundred).labels.to_vector() == std::vector<double>{99, 0});
  CHECK(int{load_cifar(spec, Cifar::hundred).images.data<uint8_t>()[3072 + 1]} == 2);
  CHECK(load_cifar(spec, Cifar::hundred, DataSplit::test).images.shape() == Shape{1, 3, 32, 32});
  CHECK(has_cifar_files(spec, Cifar::hundred));
  CHECK_FALSE(has_cifar_files(spec, Cifar::ten));
}

TEST_CASE_METHOD(Fixture, "cifar: more records than are read at once", "[io][data]") {
  std::string train;
  for (int i = 0; i < 700; ++i) train += record({0, static_cast<char>(i % 100)}, i % 200);
  put(folder / "train.bin", train);
  const ImageData data = load_cifar(spec, Cifar::hundred);
  REQUIRE(data.images.shape() == Shape{700, 3, 32, 32});
  int right = 0;
  for (int64_t n = 0; n < 700; ++n) {
    right += data.images.data<uint8_t>()[n * 3072 + 1] == n % 200 && data.labels.data<int64_t>()[n] == n % 100 ? 1 : 0;
  }
  CHECK(right == 700);
}

TEST_CASE_METHOD(Fixture, "cifar: class names are read where they lie beside the data", "[io][data]") {
  put_ten(folder.path());
  put(folder / "batches.meta.txt", "a\r\nb\nc\nd\ne\nf\ng\nh\ni\ntruck\n\n");
  CHECK(load_cifar(spec, Cifar::ten).class_names.at(0) == "a");
  CHECK(load_cifar(spec, Cifar::ten).class_names.at(9) == "truck");
  put(folder / "batches.meta.txt", "a\nb\n");
  CHECK_THAT(error<FormatError>(), ContainsSubstring("batches.meta.txt': 2 class names, CIFAR-10 has 10"));
  put(folder / "batches.meta.txt", std::string(100'000, 'x'));
  CHECK_THAT(error<IoError>(), ContainsSubstring("batches.meta.txt"));
}

TEST_CASE_METHOD(Fixture, "cifar: every missing file is named", "[io][data]") {
  put_ten(folder.path());
  std::filesystem::remove(folder / "data_batch_2.bin");
  std::filesystem::remove(folder / "data_batch_5.bin");
  CHECK_THAT(error<MissingInput>(),
             ContainsSubstring("CIFAR-10 is not complete: no data_batch_2.bin, data_batch_5.bin"));
  CHECK(error<MissingInput>(Cifar::ten, DataSplit::test).empty());
  CHECK_THAT(error<MissingInput>(Cifar::hundred), ContainsSubstring("CIFAR-100 is not complete: no train.bin"));
  spec += "/none";
  CHECK_THAT(error<MissingInput>(), ContainsSubstring("no such folder"));
}

TEST_CASE_METHOD(Fixture, "cifar: wrong sizes and labels out of range are refused with the file's name", "[io][data]") {
  const std::string whole = record({3, 99}, 1);
  for (const size_t size : {size_t{0}, size_t{1}, whole.size() - 1, whole.size() + 1, size_t{3073}}) {
    put(folder / "train.bin", (whole + whole).substr(0, size));
    CHECK_THAT(
        error<FormatError>(Cifar::hundred),
        ContainsSubstring("train.bin': " + std::to_string(size) + " bytes are no whole number of CIFAR-100 records"));
  }
  put(folder / "train.bin", whole + record({0, 100}, 1));
  CHECK_THAT(error<FormatError>(Cifar::hundred), ContainsSubstring("train.bin': record 1 has label 100"));
  put_ten(folder.path());
  put(folder / "data_batch_4.bin", record("\x0a", 1));
  CHECK_THAT(error<FormatError>(), ContainsSubstring("data_batch_4.bin': record 0 has label 10, CIFAR-10 has 0 to 9"));
  std::filesystem::remove(folder / "data_batch_4.bin");
  std::filesystem::create_directory(folder / "data_batch_4.bin");
  CHECK_THAT(error<IoError>(), ContainsSubstring("data_batch_4.bin"));
}
