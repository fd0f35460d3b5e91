#include "diffusion/data/idx.h"

#include <zlib.h>

#include <vector>

#include "catch.h"
#include "diffusion/data/image_data.h"
#include "tensor/io/file.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

std::string idx(int type, const std::vector<uint32_t>& sizes, const std::string& data) {
  std::string bytes{0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (const uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
  }
  return bytes + data;
}

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string pattern(size_t count) {
  std::string data(count, '\0');
  for (size_t i = 0; i < count; ++i) data[i] = static_cast<char>(i * 131 + (i >> 8) * 31);
  return data;
}

std::string content(const Tensor& t) {
  return {reinterpret_cast<const char*>(t.data<uint8_t>()), static_cast<size_t>(t.numel())};
}

struct Fixture {
  TemporaryFolder folder;
  std::filesystem::path path = folder / "file";

  std::string image_error(const std::string& bytes) {
    put(path, bytes);
    return message_of<FormatError>([&] { read_idx_images(path); });
  }
  void put_set(const std::string& prefix, uint32_t images, uint32_t labels, const std::string& ending = "") {
    const auto write = [&](const std::string& name, const std::string& bytes) {
      put(folder / (prefix + name + ending), ending.empty() ? bytes : gzip(bytes));
    };
    write("-images-idx3-ubyte", idx(8, {images, 2, 3}, pattern(images * 6)));
    write("-labels-idx1-ubyte", idx(8, {labels}, pattern(labels)));
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "idx: images and labels are read, plain, gzipped and in several members", "[io][idx]") {
  const std::string data = pattern(5 * 40 * 1000);  // several pieces of compressed input
  const std::string bytes = idx(8, {5, 40, 1000}, data);
  const size_t cut = bytes.size() / 3;
  for (const auto& form : {bytes, gzip(bytes), gzip(bytes.substr(0, cut)) + gzip("") + gzip(bytes.substr(cut))}) {
    put(path, form);
    const Tensor images = read_idx_images(path);
    CHECK(images.dtype() == DType::u8);
    CHECK(images.shape() == Shape{5, 40, 1000});
    CHECK((content(images) == data));
  }
  put(path, idx(8, {3}, "abc"));
  CHECK(content(read_idx_labels(path)) == "abc");
  put(path, idx(8, {0, 28, 28}, ""));
  CHECK(read_idx_images(path).shape() == Shape{0, 28, 28});
}

TEST_CASE_METHOD(Fixture, "idx: each way to be broken has its own message, with the path", "[io][idx]") {
  const std::string good = idx(8, {2, 2, 3}, pattern(12));
  CHECK(image_error(good).empty());
  CHECK_THAT(image_error("PK\3\4"), ContainsSubstring("begins with 50 4b 03 04"));
  CHECK_THAT(image_error(idx(0x0d, {2, 2, 3}, pattern(48))), ContainsSubstring("type 0x0d are not supported"));
  CHECK_THAT(image_error(idx(8, {12}, pattern(12))), ContainsSubstring("has 1 dimensions, expected 3 (images)"));
  CHECK_THAT(image_error(good + "x"), ContainsSubstring("more data than it declares"));
  CHECK_THAT(image_error(gzip(good + "x")), ContainsSubstring("more data than it declares"));
  CHECK_THAT(image_error(gzip(good) + gzip("x")), ContainsSubstring("more data than it declares"));
  CHECK_THAT(image_error(gzip(good) + "x"), ContainsSubstring("truncated gzip"));  // x begins another member
  CHECK_THAT(image_error(gzip(good) + "xy"), ContainsSubstring("other bytes after the end of its gzip data"));
  CHECK_THAT(image_error(gzip(good.substr(0, 20))), ContainsSubstring("ends too early: 8 bytes more"));
  CHECK_THAT(image_error(good), !ContainsSubstring("file"));
  CHECK_THAT(image_error(good + "x"), ContainsSubstring(path.string()));
  put(path, good);
  CHECK_THAT(message_of<FormatError>([&] { read_idx_labels(path); }), ContainsSubstring("expected 1 (labels)"));
  CHECK_THROWS_AS(read_idx_images(folder / "none"), MissingInput);
}

TEST_CASE_METHOD(Fixture, "idx: every truncation is found", "[io][idx]") {
  const std::string good = idx(8, {2, 2, 3}, pattern(12));
  for (const auto& bytes : {good, gzip(good)}) {
    for (size_t length = 0; length < bytes.size(); ++length) {
      INFO(length << " of " << bytes.size());
      CHECK_FALSE(image_error(bytes.substr(0, length)).empty());
    }
  }
  CHECK_THAT(image_error(gzip(good).substr(0, 40)), ContainsSubstring("truncated gzip"));
}

TEST_CASE_METHOD(Fixture, "idx: a changed byte is found by the checksum or changes nothing", "[io][idx]") {
  const std::string good = idx(8, {2, 2, 3}, pattern(12));
  const std::string packed = gzip(good);
  int found = 0;
  for (size_t at = 0; at < packed.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = packed;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      put(path, changed);
      const auto message = message_of<FormatError>([&] {
        const Tensor images = read_idx_images(path);
        CHECK(content(images) == pattern(12));
      });
      found += message.empty() ? 0 : 1;
    }
  }
  CHECK(found > static_cast<int>(packed.size() - 10) * 8);  // all but the time and system in the gzip header
}

TEST_CASE_METHOD(Fixture, "idx: neither sizes nor compression can make a small file fill the memory", "[io][idx]") {
  const std::string zeros(16 << 20, '\0');
  const std::string bomb = gzip(idx(8, {1, 2, 3}, zeros));
  CHECK(bomb.size() < 100'000);
  CHECK_THAT(image_error(bomb), ContainsSubstring("more data than it declares"));
  const uint32_t most = 0xffffffff;
  CHECK_THAT(image_error(idx(8, {most, most, most}, "x")), ContainsSubstring("more than the file can hold"));
  CHECK_THAT(image_error(idx(8, {0, most, most}, "")), ContainsSubstring("more than the file can hold"));
  CHECK_THAT(image_error(gzip(idx(8, {60000, 1000, 1000}, ""))), ContainsSubstring("more than the file can hold"));
}

TEST_CASE_METHOD(Fixture, "image data: a folder of idx files, both splits, plain or gzipped", "[io][data]") {
  put_set("train", 7, 7, ".gz");
  put_set("t10k", 3, 3);
  const ImageData train = load_image_data(folder.path().string());
  CHECK(train.images.shape() == Shape{7, 1, 2, 3});
  CHECK(content(train.images.contiguous()) == pattern(42));
  REQUIRE(train.labels.dtype() == DType::i64);
  CHECK(train.labels.to_vector()[1] == 131.0);
  CHECK(load_image_data(folder.path().string(), DataSplit::test).images.shape() == Shape{3, 1, 2, 3});
}

TEST_CASE_METHOD(Fixture, "image data: what is missing is named", "[io][data]") {
  const std::string spec = folder.path().string();
  const auto missing = [](const std::string& what, DataSplit split = DataSplit::train) {
    return message_of<MissingInput>([&] { load_image_data(what, split); });
  };
  CHECK_THAT(missing(spec + "/none"), ContainsSubstring("'" + spec + "/none': no such folder"));
  CHECK_THAT(missing(put(folder / "plain", "x").string()), ContainsSubstring("not a folder"));
  CHECK_THAT(missing(spec), ContainsSubstring("no file train-images-idx3-ubyte or train-images-idx3-ubyte.gz"));
  put_set("train", 2, 2);
  CHECK(missing(spec).empty());
  CHECK_THAT(missing(spec, DataSplit::test), ContainsSubstring("no file t10k-images-idx3-ubyte"));
  std::filesystem::remove(folder / "train-labels-idx1-ubyte");
  CHECK_THAT(missing(spec), ContainsSubstring("no file train-labels-idx1-ubyte"));
  CHECK(missing(spec).find('\n') == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "image data: empty sets and unequal numbers of images and labels are refused", "[io][data]") {
  const std::string spec = folder.path().string();
  put_set("train", 5, 4);
  CHECK_THAT(message_of<FormatError>([&] { load_image_data(spec); }), ContainsSubstring("5 images but 4 labels"));
  put_set("train", 0, 0);
  CHECK_THAT(message_of<FormatError>([&] { load_image_data(spec); }), ContainsSubstring("holds no images"));
}

TEST_CASE("image data: Debian's Fashion-MNIST, where its package is installed", "[io][data]") {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist")) return;
  const ImageData train = load_image_data("fashion-mnist");
  CHECK(train.images.shape() == Shape{60000, 1, 28, 28});
  std::vector<int> counts(10, 0);
  for (const double label : train.labels.to_vector()) ++counts.at(static_cast<size_t>(label));
  CHECK(counts == std::vector<int>(10, 6000));
  CHECK(train.labels.data<int64_t>()[0] == 9);  // an ankle boot
}
