// PNG as a list of chunks, with checksums made good again; JPEG as a list of segments.
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "diffusion/image/decode.h"
#include "tests/fuzz/format.h"
#include "tests/fuzz/mutate.h"
#include "tests/io/image_testing.h"

namespace sfumato::fuzz {
namespace {

using testing::make_jpeg;
using testing::make_png;
using testing::smooth_pixels;

struct Piece {
  std::string kind;  // of a chunk: four letters; of a segment: one byte
  std::string data;
};

// Takes, doubles, swaps or drops whole pieces.
void mutate_list(std::vector<Piece>& pieces, Random& random) {
  if (pieces.empty()) return;
  const size_t at = random.below(pieces.size()), other = random.below(pieces.size());
  switch (random.below(3)) {
    case 0: pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(at)); break;
    case 1: {
      const Piece copy = pieces[other];
      pieces.insert(pieces.begin() + static_cast<std::ptrdiff_t>(at), copy);
      break;
    }
    default: std::swap(pieces[at], pieces[other]); break;
  }
}

// ---- PNG ----

constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n";
constexpr std::array<const char*, 20> kChunks{"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM",
                                              "sRGB", "iCCP", "tEXt", "zTXt", "iTXt", "bKGD", "pHYs",
                                              "sBIT", "sPLT", "hIST", "tIME", "eXIf", "ABCD"};

std::vector<Piece> chunks_of(std::string_view png) {
  std::vector<Piece> chunks;
  for (size_t at = kSignature.size(); at + 12 <= png.size();) {
    const size_t length = std::min<size_t>(read_big_endian(png, at, 4), png.size() - at - 12);
    chunks.push_back({std::string(png.substr(at + 4, 4)), std::string(png.substr(at + 8, length))});
    at += length + 12;
  }
  return chunks;
}

uint32_t checksum(const Piece& chunk) {
  const std::string all = chunk.kind + chunk.data;
  return static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(all.data()), static_cast<uInt>(all.size())));
}

std::string deflated(const std::string& bytes) {
  uLongf size = compressBound(bytes.size());
  std::string out(size, '\0');
  compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size(), 1);
  out.resize(size);
  return out;
}

std::string inflated(const std::string& bytes) {
  std::string out(size_t{1} << 16, '\0');
  uLongf size = out.size();
  const int status = uncompress(reinterpret_cast<Bytef*>(out.data()), &size,
                                reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  out.resize(status == Z_OK ? size : 0);
  return out;
}

// Width and height small or on the edge; depth, colour type and interlacing of any kind.
void mutate_image_header(std::string& header, Random& random) {
  header.resize(13);
  switch (random.below(4)) {
    case 0: header.replace(4 * random.below(2), 4, big_endian(random.below(64), 4)); break;
    case 1: header.replace(4 * random.below(2), 4, big_endian(edge_number(random), 4)); break;
    case 2: header[8] = static_cast<char>(1 << random.below(6)); break;
    default: header[9 + random.below(4)] = static_cast<char>(random.below(8)); break;
  }
}

// A chunk of text or colours that unpacks to a thousand times its size.
Piece bomb(Random& random) {
  const std::string body = deflated(std::string(random.below(size_t{8} << 20), 'x'));
  const std::string start("name\0\0", 6);
  switch (random.below(3)) {
    case 0: return {"zTXt", start + body};
    case 1: return {"iCCP", start + body};
    default: return {"iTXt", std::string("name\0\1\0\0\0", 9) + body};
  }
}

class PngFormat final : public Format {
 public:
  std::string name() const override { return "png"; }

  std::vector<std::string> corpus() const override {
    const std::string palette = smooth_pixels(16, 1, 3);
    return {
        make_png(5, 4, {PNG_COLOR_TYPE_GRAY}, smooth_pixels(5, 4, 1)),
        make_png(5, 4, {PNG_COLOR_TYPE_RGB}, smooth_pixels(5, 4, 3)),
        make_png(9, 9, {.color_type = PNG_COLOR_TYPE_RGB_ALPHA, .interlaced = false}, smooth_pixels(9, 9, 4)),
        make_png(3, 3, {PNG_COLOR_TYPE_GRAY_ALPHA}, smooth_pixels(3, 3, 2)),
        make_png(4, 3, {PNG_COLOR_TYPE_RGB, 16}, smooth_pixels(4, 3, 6)),
        make_png(12, 3, {PNG_COLOR_TYPE_GRAY, 1}, std::string(6, '\x5a')),
        make_png(4, 4, {.color_type = PNG_COLOR_TYPE_PALETTE, .bit_depth = 4, .palette = palette, .transparency = "ab"},
                 std::string(8, '\x21')),
        make_png(4, 4, {.color_type = PNG_COLOR_TYPE_GRAY, .transparency = std::string("\0\x30", 2)},
                 smooth_pixels(4, 4, 1))};
  }

  void mutate(std::string& input, Random& random) const override {
    std::vector<Piece> chunks = chunks_of(input);
    for (size_t changes = 1 + random.below(3); changes > 0 && !chunks.empty(); --changes) {
      Piece& chunk = chunks[random.below(chunks.size())];
      switch (random.below(6)) {
        case 0: mutate_image_header(chunks.front().data, random); break;
        case 1: mutate_list(chunks, random); break;
        case 2: mutate_bytes(chunk.data, random); break;
        case 3: mutate_pixels(chunks, random); break;
        case 4: {
          Piece made{random.pick(kChunks), std::string(random.below(24), static_cast<char>(random.next()))};
          if (random.chance(1, 500)) made = bomb(random);
          chunks.insert(chunks.begin() + static_cast<std::ptrdiff_t>(1 + random.below(chunks.size())), made);
          break;
        }
        default: chunk.kind = random.pick(kChunks); break;
      }
    }
    input = kSignature;
    for (const Piece& chunk : chunks) {
      const uint32_t sum = random.chance(1, 64) ? 0 : checksum(chunk);
      input += big_endian(chunk.data.size(), 4) + chunk.kind + chunk.data + big_endian(sum, 4);
    }
    if (random.chance(1, 16)) mutate_bytes(input, random);
  }

  void read(std::string_view input) const override {
    decode_image(input, 3, "x.png");
    decode_image(input, 1, "x.png");
  }

  // A first chunk that is an image's header, whole.
  bool passes_header(std::string_view input, std::string_view) const override {
    if (!input.starts_with(kSignature) || input.size() < 33 || read_big_endian(input, 8, 4) != 13) return false;
    return checksum({std::string(input.substr(12, 4)), std::string(input.substr(16, 13))}) ==
           read_big_endian(input, 29, 4);
  }

  size_t decoded_bytes(std::string_view input) const override {
    if (input.size() < 26) return input.size();
    const size_t pixels = size_t{read_big_endian(input, 16, 4)} * read_big_endian(input, 20, 4);
    return std::max(input.size(), 4 * std::min<size_t>(pixels, static_cast<size_t>(kMaxImagePixels)));
  }

 private:
  static void mutate_pixels(std::vector<Piece>& chunks, Random& random) {
    for (Piece& chunk : chunks) {
      if (chunk.kind != "IDAT") continue;
      std::string rows = inflated(chunk.data);
      mutate_bytes(rows, random);
      chunk.data = deflated(rows);
      return;
    }
  }
};

// ---- JPEG ----

// Segments with their markers; what follows a start of scan, up to the next marker, is a piece of kind "".
std::vector<Piece> segments_of(std::string_view jpeg) {
  std::vector<Piece> segments;
  for (size_t at = 2; at + 4 <= jpeg.size();) {
    if (static_cast<unsigned char>(jpeg[at]) != 0xff) {
      size_t end = at;
      while (end + 1 < jpeg.size() && (static_cast<unsigned char>(jpeg[end]) != 0xff || jpeg[end + 1] == 0)) ++end;
      segments.push_back({"", std::string(jpeg.substr(at, end - at))});
      at = end;
      continue;
    }
    const size_t length = std::min<size_t>(std::max<size_t>(read_big_endian(jpeg, at + 2, 2), 2), jpeg.size() - at - 2);
    segments.push_back({std::string(1, jpeg[at + 1]), std::string(jpeg.substr(at + 4, length - 2))});
    at += 2 + length;
  }
  return segments;
}

constexpr std::array<char, 16> kMarkers{'\xc0', '\xc1', '\xc2', '\xc3', '\xc4', '\xc9', '\xcc', '\xda',
                                        '\xdb', '\xdd', '\xd0', '\xd8', '\xd9', '\xe0', '\xee', '\xfe'};

bool is_frame(const Piece& segment) {
  return segment.kind == "\xc0" || segment.kind == "\xc1" || segment.kind == "\xc2";
}

class JpegFormat final : public Format {
 public:
  std::string name() const override { return "jpeg"; }

  std::vector<std::string> corpus() const override {
    return {make_jpeg(9, 7, 1, smooth_pixels(9, 7, 1)),
            make_jpeg(17, 9, 3, smooth_pixels(17, 9, 3)),
            make_jpeg(17, 9, 3, smooth_pixels(17, 9, 3), {.progressive = true}),
            make_jpeg(8, 8, 1, smooth_pixels(8, 8, 1), {.quality = 20, .progressive = true}),
            make_jpeg(8, 8, 4, smooth_pixels(8, 8, 4)),
            make_jpeg(8, 8, 1, smooth_pixels(8, 8, 1), {.many_scans = true})};
  }

  void mutate(std::string& input, Random& random) const override {
    std::vector<Piece> segments = segments_of(input);
    for (size_t changes = 1 + random.below(3); changes > 0 && !segments.empty(); --changes) {
      Piece& segment = segments[random.below(segments.size())];
      switch (random.below(7)) {
        case 0: mutate_frame(segments, random); break;
        case 1: mutate_list(segments, random); break;
        case 2: segment.kind = std::string(1, random.pick(kMarkers)); break;
        case 3: {
          const Piece made{std::string(1, random.pick(kMarkers)),
                           std::string(random.below(8), static_cast<char>(random.below(4)))};
          segments.insert(segments.begin() + static_cast<std::ptrdiff_t>(random.below(segments.size())), made);
          break;
        }
        default: mutate_bytes(segment.data, random); break;
      }
    }
    input = "\xff\xd8";
    for (const Piece& segment : segments) {
      if (!segment.kind.empty()) input += "\xff" + segment.kind + big_endian(segment.data.size() + 2, 2);
      input += segment.data;
    }
    input += "\xff\xd9";
    if (random.chance(1, 16)) mutate_bytes(input, random);
  }

  void read(std::string_view input) const override { decode_image(input, 3, "x.jpg"); }

  // The markers lead to a frame of a known kind that is as long as its components need.
  bool passes_header(std::string_view input, std::string_view) const override {
    if (!recognize_image(input)) return false;
    for (const Piece& segment : segments_of(input)) {
      if (is_frame(segment)) {
        return segment.data.size() >= 6 &&
               segment.data.size() == size_t{6} + size_t{3} * static_cast<unsigned char>(segment.data[5]);
      }
    }
    return false;
  }

  // A progressive file is decoded to its coefficients first, two bytes each.
  size_t decoded_bytes(std::string_view input) const override {
    size_t most = input.size();
    for (const Piece& segment : segments_of(input)) {
      if (!is_frame(segment) || segment.data.size() < 6) continue;
      const size_t pixels = size_t{read_big_endian(segment.data, 1, 2)} * read_big_endian(segment.data, 3, 2);
      const size_t bytes_per_pixel = segment.kind == "\xc2" ? 9 : 3;
      most = std::max(most, bytes_per_pixel * std::min<size_t>(pixels, static_cast<size_t>(kMaxImagePixels)));
    }
    return most;
  }

 private:
  static void mutate_frame(std::vector<Piece>& segments, Random& random) {
    for (Piece& segment : segments) {
      if (!is_frame(segment)) continue;
      const bool sides = random.chance(1, 2) && segment.data.size() >= 5;
      if (!sides) return mutate_bytes(segment.data, random);
      const uint64_t side = random.chance(1, 64) ? edge_number(random) & 0x3fff : 1 + random.below(64);
      segment.data.replace(random.chance(1, 2) ? 1 : 3, 2, big_endian(side, 2));
      return;
    }
  }
};

}  // namespace

std::unique_ptr<Format> make_png_format() { return std::make_unique<PngFormat>(); }
std::unique_ptr<Format> make_jpeg_format() { return std::make_unique<JpegFormat>(); }

}  // namespace sfumato::fuzz
