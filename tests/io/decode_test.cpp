#include "diffusion/image/decode.h"

#include <png.h>
#include <sys/resource.h>
#include <zlib.h>

#include <cmath>
#include <vector>

#include "catch.h"
#include "diffusion/image/png.h"
#include "tensor/io/file.h"
#include "tests/fuzz/memory_meter.h"
#include "tests/fuzz/mutate.h"
#include "tests/io/image_testing.h"
#include "tests/io/io_testing.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

std::vector<int> decode(const std::string& bytes, int64_t channels = 3) {
  const Tensor pixels = decode_image(bytes, channels, "x");
  CHECK(pixels.size(2) == channels);
  return {pixels.data<uint8_t>(), pixels.data<uint8_t>() + pixels.numel()};
}

std::string error_of(const std::string& bytes) {
  return message_of<FormatError>([&] { decode_image(bytes, 3, "pictures/x"); });
}

// The largest difference from what was encoded.
int distance(const std::vector<int>& decoded, const std::string& pixels) {
  REQUIRE(decoded.size() == pixels.size());
  int most = 0;
  for (size_t i = 0; i < pixels.size(); ++i) {
    most = std::max(most, std::abs(decoded[i] - static_cast<unsigned char>(pixels[i])));
  }
  return most;
}

// Small files of every coding that the decoders tell apart.
std::vector<std::string> small_files() {
  const std::string rgb = smooth_pixels(11, 9, 3), grey = smooth_pixels(9, 10, 1), tiny = smooth_pixels(3, 5, 1);
  return {make_png(11, 9, {PNG_COLOR_TYPE_RGB}, rgb),
          make_png(9, 10, {.color_type = PNG_COLOR_TYPE_GRAY, .interlaced = true}, grey),
          make_png(3, 5, {.color_type = PNG_COLOR_TYPE_PALETTE, .bit_depth = 2, .palette = "abcdefghi"},
                   "\x18\x84\x18\x84\x18"),
          make_jpeg(3, 5, 1, tiny),
          make_jpeg(11, 9, 3, rgb, {.quality = 50}),
          make_jpeg(9, 10, 1, grey, {.quality = 50, .progressive = true})};
}

// Memory that this process has had at most.
int64_t peak_kilobytes() {
  rusage usage{};
  REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
  return usage.ru_maxrss;
}

// Decodes or throws FormatError; anything else fails the test (or the sanitizer).
bool is_refused(const std::string& bytes) { return !error_of(bytes).empty(); }

}  // namespace

TEST_CASE("decode: what our encoder writes comes back, in its channels and in the other number", "[io][image]") {
  Tensor rgb = tensor_of({255, 0, 0, 10, 20, 30, 0, 0, 255, 7, 7, 7}, {2, 2, 3}, DType::u8);
  CHECK(decode(encode_png(rgb)) == std::vector<int>{255, 0, 0, 10, 20, 30, 0, 0, 255, 7, 7, 7});
  // 0.299 * 255 = 76.2; 2.99 + 11.74 + 3.42 = 18.15; 0.114 * 255 = 29.07
  CHECK(decode(encode_png(rgb), 1) == std::vector<int>{76, 18, 29, 7});
  Tensor grey = tensor_of({1, 2, 3}, {1, 3, 1}, DType::u8);
  CHECK(decode(encode_png(grey), 1) == std::vector<int>{1, 2, 3});
  CHECK(decode(encode_png(grey)) == std::vector<int>{1, 1, 1, 2, 2, 2, 3, 3, 3});
  CHECK(decode_image(encode_png(grey), 3, "x").shape() == Shape{1, 3, 3});
  CHECK_THROWS_AS(decode_image(encode_png(grey), 2, "x"), Error);
}

TEST_CASE("decode: PNG of 16, 4, 2 and 1 bits, palettes and interlacing", "[io][image]") {
  // 0x1280 is 18.57 in 8 bits, 0x12ff 18.93: rounded, not cut off.
  CHECK(decode(make_png(2, 1, {PNG_COLOR_TYPE_GRAY, 16}, {"\x12\x20\x12\xff", 4}), 1) == std::vector<int>{18, 19});
  CHECK(decode(make_png(1, 1, {PNG_COLOR_TYPE_RGB, 16}, {"\x10\x10\xff\xff\x00\x00", 6})) ==
        std::vector<int>{16, 255, 0});
  CHECK(decode(make_png(2, 1, {PNG_COLOR_TYPE_GRAY, 4}, "\x3f"), 1) == std::vector<int>{51, 255});
  CHECK(decode(make_png(4, 1, {PNG_COLOR_TYPE_GRAY, 2}, "\x1b"), 1) == std::vector<int>{0, 85, 170, 255});
  CHECK(decode(make_png(3, 1, {PNG_COLOR_TYPE_GRAY, 1}, "\xa0"), 1) == std::vector<int>{255, 0, 255});
  const PngKind palette{.color_type = PNG_COLOR_TYPE_PALETTE, .bit_depth = 4, .palette = "\1\2\3\4\5\6\7\7\7"};
  CHECK(decode(make_png(2, 1, palette, "\x12")) == std::vector<int>{4, 5, 6, 7, 7, 7});
  CHECK(decode(make_png(2, 1, palette, "\x12"), 1) == std::vector<int>{5, 7});
  const std::string pixels = smooth_pixels(21, 13, 3);
  for (const bool interlaced : {false, true}) {
    CHECK(distance(decode(make_png(21, 13, {PNG_COLOR_TYPE_RGB, 8, interlaced}, pixels)), pixels) == 0);
  }
}

TEST_CASE("decode: transparency of a PNG is composited on black", "[io][image]") {
  const std::string two("\x64\xff\x64\x80", 4);  // 100 opaque, 100 of alpha 128: 50.2
  CHECK(decode(make_png(2, 1, {PNG_COLOR_TYPE_GRAY_ALPHA}, two), 1) == std::vector<int>{100, 50});
  CHECK(decode(make_png(2, 1, {PNG_COLOR_TYPE_GRAY_ALPHA}, two)) == std::vector<int>{100, 100, 100, 50, 50, 50});
  CHECK(decode(make_png(1, 1, {PNG_COLOR_TYPE_RGB_ALPHA}, "\xff\x64\x0a\x80")) == std::vector<int>{128, 50, 5});
  CHECK(decode(make_png(1, 1, {PNG_COLOR_TYPE_RGB_ALPHA}, std::string("\xff\xff\xff\0", 4)), 1) == std::vector<int>{0});
  const PngKind palette{.color_type = PNG_COLOR_TYPE_PALETTE, .palette = "dddddd", .transparency = {"\xff\0", 2}};
  CHECK(decode(make_png(2, 1, palette, {"\0\1", 2}), 1) == std::vector<int>{100, 0});
  const PngKind grey{.color_type = PNG_COLOR_TYPE_GRAY, .transparency = {"\0d", 2}};
  CHECK(decode(make_png(2, 1, grey, "de"), 1) == std::vector<int>{0, 101});
  const PngKind rgb{.color_type = PNG_COLOR_TYPE_RGB, .transparency = {"\0a\0b\0c", 6}};
  CHECK(decode(make_png(2, 1, rgb, "abcabd")) == std::vector<int>{0, 0, 0, 97, 98, 100});
}

TEST_CASE("decode: JPEG in grey and colour, baseline and progressive", "[io][image]") {
  for (const bool progressive : {false, true}) {
    const JpegKind kind{.quality = 98, .progressive = progressive};
    const std::string grey = smooth_pixels(33, 17, 1), rgb = smooth_pixels(33, 17, 3);
    CHECK(distance(decode(make_jpeg(33, 17, 1, grey, kind), 1), grey) <= 2);
    CHECK(distance(decode(make_jpeg(33, 17, 3, rgb, kind)), rgb) <= 4);
  }
  CHECK(decode(make_jpeg(8, 8, 1, std::string(64, '\x80')), 1) == std::vector<int>(64, 128));
  CHECK(decode_image(make_jpeg(33, 17, 3, smooth_pixels(33, 17, 3)), 1, "x").shape() == Shape{17, 33, 1});
}

TEST_CASE("decode: what is no picture for us says so and names the file", "[io][image]") {
  CHECK_THAT(error_of(""), ContainsSubstring("'pictures/x': is empty"));
  CHECK_THAT(error_of("GIF89a"), ContainsSubstring("'pictures/x': is neither a PNG nor a JPEG file"));
  CHECK_THAT(error_of(make_jpeg(8, 8, 4, std::string(256, 'a'))), ContainsSubstring("CMYK"));
  CHECK_THAT(error_of(make_jpeg(8, 8, 1, smooth_pixels(8, 8, 1), {.many_scans = true})),
             ContainsSubstring("more than 64 scans"));
  CHECK_THAT(error_of(std::string("\x89PNG\r\n\x1a\n", 8)),
             ContainsSubstring("'pictures/x': is a corrupt PNG file (it"));
  CHECK_THAT(error_of("\xff\xd8\xff\xd9"), ContainsSubstring("'pictures/x': is a corrupt JPEG file ("));
  CHECK(error_of("\xff\xd8\xff\xd9").find('\n') == std::string::npos);
}

TEST_CASE("decode: an image that is too large is refused by what it declares", "[io][image]") {
  const std::string png = make_png(1, 1, {PNG_COLOR_TYPE_GRAY}, "a");
  const auto declared = [&](uint32_t width, uint32_t height) {
    std::string changed = png;
    for (size_t i = 0; i < 4; ++i) {
      changed[16 + i] = static_cast<char>(width >> (24 - 8 * i));
      changed[20 + i] = static_cast<char>(height >> (24 - 8 * i));
    }
    return error_of(with_png_checksums(changed));
  };
  CHECK_THAT(declared(16385, 1), ContainsSubstring("16385 x 1 pixels is too large"));
  CHECK_THAT(declared(1, 16385), ContainsSubstring("too large"));
  CHECK_THAT(declared(16384, 4097), ContainsSubstring("too large"));
  const int64_t before = peak_kilobytes();
  CHECK_THAT(declared(0x7fffffff, 0x7fffffff), ContainsSubstring("too large"));
  CHECK(peak_kilobytes() - before < 100'000);                        // a row of it alone would be 2 GB
  CHECK_THAT(declared(16384, 4), ContainsSubstring("corrupt PNG"));  // allowed, but there are no pixels

  std::string jpeg = make_jpeg(8, 8, 1, smooth_pixels(8, 8, 1));
  const size_t frame = jpeg.find("\xff\xc0");
  REQUIRE(frame != std::string::npos);
  jpeg[frame + 5] = 0x40, jpeg[frame + 6] = 0x01;  // height 16385
  CHECK_THAT(error_of(jpeg), ContainsSubstring("8 x 16385 pixels is too large"));
}

TEST_CASE("decode: every truncation is found", "[io][image]") {
  for (const std::string& bytes : small_files()) {
    CHECK_FALSE(is_refused(bytes));
    for (size_t length = 0; length < bytes.size(); ++length) {
      INFO(length << " of " << bytes.size());
      CHECK(is_refused(bytes.substr(0, length)));
    }
  }
}

TEST_CASE("decode: a changed bit is refused or gives an image", "[io][image]") {
  for (const std::string& bytes : small_files()) {
    size_t refused = 0;
    for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      std::string changed = bytes;
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
      refused += is_refused(changed) ? 1 : 0;
      // Behind the checksums, where a PNG's parsers are.
      if (bytes[1] == 'P') is_refused(with_png_checksums(changed));
    }
    CHECK(refused > bytes.size() / 2);
  }
}

TEST_CASE("decode: pieces in another order, repeated or filled with one value are refused or give an image",
          "[io][image]") {
  for (const std::string& bytes : small_files()) {
    uint32_t state = 1;
    const auto below = [&](size_t n) { return (state = state * 1664525u + 1013904223u) / 65536 % n; };
    for (int round = 0; round < 300; ++round) {
      std::string changed = bytes;
      const size_t from = below(bytes.size()), to = below(bytes.size()), count = below(12) + 1;
      if (round % 3 == 0) changed.insert(to, bytes, from, count);
      if (round % 3 == 1) changed.erase(from, count);
      if (round % 3 == 2) changed.replace(to, count, count, static_cast<char>(below(256)));
      is_refused(changed);
      if (bytes[1] == 'P') is_refused(with_png_checksums(changed));
    }
  }
  SUCCEED();
}

// Comments and profiles are no pixels: libpng would unpack and keep each of them, or take what its length announces.
TEST_CASE("decode: what a PNG holds besides its pixels takes no memory", "[io][image]") {
  const std::string good = make_png(5, 4, {PNG_COLOR_TYPE_RGB}, smooth_pixels(5, 4, 3));
  constexpr size_t kAfterHeader = 33;
  std::string packed(size_t{16} << 10, '\0');
  uLongf size = packed.size();
  const std::string text(size_t{7} << 20, 'x');
  REQUIRE(compress2(reinterpret_cast<Bytef*>(packed.data()), &size, reinterpret_cast<const Bytef*>(text.data()),
                    text.size(), 9) == Z_OK);
  packed.resize(size);
  const std::string chunk =
      fuzz::big_endian(packed.size() + 6, 4) + "zTXt" + std::string("name\0\0", 6) + packed + "sums";
  std::string many = good, one = good;
  for (int i = 0; i < 8; ++i) many.insert(kAfterHeader, chunk);
  one.insert(kAfterHeader, fuzz::big_endian(size_t{1} << 30, 4) + "iTXt");

  const fuzz::MemoryMeter meter;
  CHECK(decode_image(with_png_checksums(many), 3, "x").shape() == Shape{4, 5, 3});
  CHECK_THROWS_AS(decode_image(one, 3, "x"), FormatError);
  CHECK(meter.peak() < (size_t{4} << 20));  // the address sanitizer's build sees the heap
}
