#include "tests/io/image_testing.h"

#include <png.h>
#include <zlib.h>

// jpeglib.h wants these two before it.
#include <cstddef>
#include <cstdio>

#include <jpeglib.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace sfumato::testing {
namespace {

uint16_t big_endian(const std::string& bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]));
}

void set_transparency(png_structp png, png_infop info, const PngKind& kind) {
  const std::string& given = kind.transparency;
  if (given.empty()) return;
  png_color_16 clear{};
  if (kind.color_type == PNG_COLOR_TYPE_GRAY) clear.gray = big_endian(given, 0);
  if (kind.color_type == PNG_COLOR_TYPE_RGB) {
    clear.red = big_endian(given, 0);
    clear.green = big_endian(given, 2);
    clear.blue = big_endian(given, 4);
  }
  png_set_tRNS(png, info, reinterpret_cast<png_const_bytep>(given.data()), static_cast<int>(given.size()), &clear);
}

// One coefficient at a time, all but its last bit and then that: 127 scans.
std::vector<jpeg_scan_info> many_scans() {
  std::vector<jpeg_scan_info> scans{{1, {0}, 0, 0, 0, 0}};
  for (int k = 1; k < 64; ++k) scans.push_back({1, {0}, k, k, 0, 1});
  for (int k = 1; k < 64; ++k) scans.push_back({1, {0}, k, k, 1, 0});
  return scans;
}

}  // namespace

// An error of libpng's or libjpeg's here is a mistake in a test: their own handlers end the program with a message.
std::string make_png(int width, int height, const PngKind& kind, const std::string& rows) {
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &bytes,
      [](png_structp p, png_bytep data, size_t count) {
        static_cast<std::string*>(png_get_io_ptr(p))->append(reinterpret_cast<const char*>(data), count);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), kind.bit_depth,
               kind.color_type, kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (!kind.palette.empty()) {
    png_set_PLTE(png, info, reinterpret_cast<png_const_colorp>(kind.palette.data()),
                 static_cast<int>(kind.palette.size() / 3));
  }
  set_transparency(png, info, kind);
  png_write_info(png, info);
  const size_t stride = rows.size() / static_cast<size_t>(height);
  if (stride != png_get_rowbytes(png, info)) png_error(png, "make_png: wrong number of bytes");
  std::vector<png_bytep> pointers;
  for (size_t y = 0; y < static_cast<size_t>(height); ++y) {
    pointers.push_back(reinterpret_cast<png_bytep>(const_cast<char*>(rows.data())) + y * stride);
  }
  png_write_image(png, pointers.data());
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return bytes;
}

std::string make_jpeg(int width, int height, int components, const std::string& pixels, const JpegKind& kind) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &out, &size);
  jpeg.image_width = static_cast<JDIMENSION>(width);
  jpeg.image_height = static_cast<JDIMENSION>(height);
  jpeg.input_components = components;
  jpeg.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, kind.quality, TRUE);
  jpeg.optimize_coding = TRUE;
  if (kind.progressive) jpeg_simple_progression(&jpeg);
  const auto scans = many_scans();
  if (kind.many_scans) {
    jpeg.scan_info = scans.data();
    jpeg.num_scans = static_cast<int>(scans.size());
  }
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = reinterpret_cast<JSAMPROW>(const_cast<char*>(pixels.data())) +
                jpeg.next_scanline * static_cast<size_t>(width * components);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string bytes(reinterpret_cast<char*>(out), size);
  std::free(out);
  return bytes;
}

std::string smooth_pixels(int width, int height, int components) {
  std::string pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < components; ++c) {
        const double u = (x + 0.5) / width, v = (y + 0.5) / height;
        pixels += static_cast<char>(std::lround(40 + 50 * c + 60 * u + 30 * v * (c + 1) / 3.0));
      }
    }
  }
  return pixels;
}

std::string with_png_checksums(std::string png) {
  const auto word = [&](size_t at) { return size_t{big_endian(png, at)} << 16 | big_endian(png, at + 2); };
  for (size_t at = 8; at + 12 <= png.size() && word(at) <= png.size() - at - 12;) {
    const size_t length = word(at) + 4;  // with the type
    const auto sum = crc32(0, reinterpret_cast<const Bytef*>(png.data()) + at + 4, static_cast<uInt>(length));
    for (size_t i = 0; i < 4; ++i) png[at + 4 + length + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += length + 8;
  }
  return png;
}

}  // namespace sfumato::testing
