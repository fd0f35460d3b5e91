#include "diffusion/image/decode.h"

#include "diffusion/image/decode_formats.h"
#include "tensor/io/file.h"

namespace sfumato {
namespace {

using namespace std::string_view_literals;

uint8_t on_black(uint8_t value, uint8_t alpha) { return static_cast<uint8_t>((value * alpha + 127) / 255); }

// From `given` channels, the last alpha if their number is even, to 1 or 3.
void convert(const uint8_t* in, int64_t given, uint8_t* out, int64_t wanted, int64_t pixels) {
  const bool alpha = given % 2 == 0;
  const bool grey = given < 3;
  for (int64_t i = 0; i < pixels; ++i, in += given, out += wanted) {
    uint8_t rgb[3] = {in[0], in[grey ? 0 : 1], in[grey ? 0 : 2]};
    if (alpha) {
      for (uint8_t& value : rgb) {
        value = on_black(value, in[given - 1]);
      }
    }
    if (wanted == 1) {
      out[0] = grey ? rgb[0] : luma(rgb[0], rgb[1], rgb[2]);
    } else {
      out[0] = rgb[0];
      out[1] = rgb[1];
      out[2] = rgb[2];
    }
  }
}

}  // namespace

std::optional<ImageFormat> recognize_image(std::string_view bytes) {
  if (bytes.starts_with("\x89PNG\r\n\x1a\n"sv)) {
    return ImageFormat::png;
  }
  if (bytes.starts_with("\xff\xd8\xff"sv)) {
    return ImageFormat::jpeg;
  }
  return std::nullopt;
}

Tensor decode_image(std::string_view bytes, int64_t channels, const std::string& name) {
  check(channels == 1 || channels == 3, "decode_image: channels must be 1 or 3, got ", channels);
  const auto format = recognize_image(bytes);
  if (!format) {
    throw FormatError(fmt::format("'{}': {}", name, bytes.empty() ? "is empty" : "is neither a PNG nor a JPEG file"));
  }
  Tensor pixels = *format == ImageFormat::png ? detail::decode_png(bytes, name) : detail::decode_jpeg(bytes, name);
  if (pixels.size(2) == channels) {
    return pixels;
  }
  Tensor out = Tensor::empty({pixels.size(0), pixels.size(1), channels}, DType::u8);
  convert(pixels.data<uint8_t>(), pixels.size(2), out.mutable_data<uint8_t>(), channels,
          pixels.size(0) * pixels.size(1));
  return out;
}

void detail::check_image_size(int64_t height, int64_t width, const std::string& name) {
  if (height > kMaxImageSide || width > kMaxImageSide || height * width > kMaxImagePixels) {
    throw FormatError(fmt::format("'{}': an image of {} x {} pixels is too large (at most {} a side and {} in all)",
                                  name, width, height, kMaxImageSide, kMaxImagePixels));
  }
}

}  // namespace sfumato
