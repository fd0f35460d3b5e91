#include "diffusion/image/png.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>
#include <exception>

#include "tensor/io/file.h"

namespace sfumato {
namespace {

// Fixed, because they decide the bytes of the file.
constexpr int kCompressionLevel = 6;
constexpr int kMemoryLevel = 8;
constexpr int kWindowBits = 15;

struct Encoder {
  std::string bytes;
  char message[128] = "";
};

// libpng wants this not to return. It is C, so we leave by longjmp, not by an exception.
void on_error(png_structp png, png_const_charp message) {
  auto* encoder = static_cast<Encoder*>(png_get_error_ptr(png));
  std::strncpy(encoder->message, message, sizeof(encoder->message) - 1);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_write(png_structp png, png_bytep data, size_t count) {
  auto* encoder = static_cast<Encoder*>(png_get_io_ptr(png));
  bool out_of_memory = false;
  try {
    encoder->bytes.append(reinterpret_cast<const char*>(data), count);
  } catch (const std::exception&) {
    out_of_memory = true;
  }
  if (out_of_memory) {
    png_error(png, "out of memory");
  }
}

void on_flush(png_structp) {}

// False after an error. Nothing here may need a destructor: longjmp comes back to setjmp without running any.
bool encode(png_structp png, png_infop info, Encoder& encoder, const uint8_t* pixels, const int64_t* size) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    return false;
  }
  png_set_write_fn(png, &encoder, on_write, on_flush);
  png_set_IHDR(png, info, static_cast<png_uint_32>(size[1]), static_cast<png_uint_32>(size[0]), 8,
               size[2] == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, kCompressionLevel);
  png_set_compression_mem_level(png, kMemoryLevel);
  png_set_compression_window_bits(png, kWindowBits);
  png_set_compression_strategy(png, PNG_Z_DEFAULT_STRATEGY);
  png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
  png_write_info(png, info);
  for (int64_t y = 0; y < size[0]; ++y) {
    png_write_row(png, pixels + y * size[1] * size[2]);
  }
  png_write_end(png, info);
  return true;
}

// -1..1 to 0..255. The comparisons are written so that NaN, too, ends in 0.
uint8_t to_byte(float x) {
  const float value = std::round((x + 1.0f) * 127.5f);
  return value > 0.0f ? static_cast<uint8_t>(std::min(value, 255.0f)) : uint8_t{0};
}

}  // namespace

std::string encode_png(const Tensor& pixels) {
  check(pixels.defined() && pixels.dtype() == DType::u8 && pixels.dim() == 3 && pixels.numel() > 0 &&
            (pixels.size(2) == 1 || pixels.size(2) == 3),
        "encode_png: pixels must be u8 (H, W, 1 or 3), got ", pixels.dtype(), " ", pixels.shape());
  constexpr int64_t kLongestSide = 1'000'000;  // libpng's own default limit
  check(pixels.size(0) <= kLongestSide && pixels.size(1) <= kLongestSide, "encode_png: a side is longer than ",
        kLongestSide, " pixels: ", pixels.shape());
  const Tensor plain = pixels.contiguous();
  Encoder encoder;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &encoder, on_error, on_warning);
  png_infop info = png != nullptr ? png_create_info_struct(png) : nullptr;
  const bool done = info != nullptr && encode(png, info, encoder, plain.data<uint8_t>(), plain.shape().begin());
  png_destroy_write_struct(&png, &info);
  ensure(done, "encode_png: libpng: ", encoder.message);
  return std::move(encoder.bytes);
}

void write_png(const std::filesystem::path& path, const Tensor& pixels) {
  write_file_durably(path, encode_png(pixels));
}

Tensor image_grid(const Tensor& samples, int64_t columns, int64_t border) {
  check(samples.defined() && samples.dtype() == DType::f32 && samples.dim() == 4 && samples.numel() > 0 &&
            (samples.size(1) == 1 || samples.size(1) == 3),
        "image_grid: samples must be f32 (N, 1 or 3, H, W), got ", samples.dtype(), " ", samples.shape());
  check(columns >= 0 && border >= 0, "image_grid: columns and border must not be negative, got ", columns, " and ",
        border);
  const Tensor plain = samples.contiguous();
  const int64_t count = plain.size(0), channels = plain.size(1), height = plain.size(2), width = plain.size(3);
  if (columns == 0) {
    columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  }
  columns = std::min(columns, count);
  const int64_t rows = (count + columns - 1) / columns;
  const int64_t step_y = height + border, step_x = width + border;
  Tensor grid = zeros({rows * step_y + border, columns * step_x + border, channels}, DType::u8);

  const float* from = plain.data<float>();
  uint8_t* to = grid.mutable_data<uint8_t>();
  for (int64_t n = 0; n < count; ++n) {
    const int64_t top = n / columns * step_y + border, left = n % columns * step_x + border;
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t y = 0; y < height; ++y) {
        for (int64_t x = 0; x < width; ++x) {
          to[((top + y) * grid.size(1) + left + x) * channels + c] = to_byte(*from++);
        }
      }
    }
  }
  return grid;
}

void save_image_grid(const std::filesystem::path& path, const Tensor& samples, int64_t columns) {
  write_png(path, image_grid(samples, columns));
}

}  // namespace sfumato
