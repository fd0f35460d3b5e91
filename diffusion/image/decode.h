// From the bytes of a PNG or JPEG file to pixels.
//
//   Tensor pixels = decode_image(bytes, /*channels=*/3, "cat.jpg");   // u8 (H, W, 3); the name is for error messages
//
// PNG: every kind. 16 bits are rounded to 8, palettes and 1, 2 or 4 bits expanded, transparency is composited on black
// (v a / 255, in the file's own values), gamma and colour profiles are ignored. JPEG: grey and colour, baseline and
// progressive, by libjpeg's exact integer transform; CMYK is refused; EXIF orientation is ignored. Colour becomes grey
// by luma(), grey becomes colour by repetition.
//
// Strict: data that end too early or are found corrupt are an error, not a half-grey picture. What is declared is
// checked before memory is taken: at most 16384 pixels a side and 64 Mi in all, at most 64 scans in a progressive JPEG.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace sfumato {

enum class ImageFormat { png, jpeg };

constexpr int64_t kMaxImageSide = 16384;
constexpr int64_t kMaxImagePixels = int64_t{64} << 20;

// What a file that begins with these bytes is; 8 of them suffice.
std::optional<ImageFormat> recognize_image(std::string_view bytes);

// u8 (H, W, channels), channels 1 or 3. Throws FormatError, its message beginning with 'name'.
Tensor decode_image(std::string_view bytes, int64_t channels, const std::string& name);

// Grey of a colour: 0.299 r + 0.587 g + 0.114 b (ITU-R BT.601) in 16-bit fixed point, as Pillow computes it.
inline uint8_t luma(uint8_t r, uint8_t g, uint8_t b) {
  return static_cast<uint8_t>((19595u * r + 38470u * g + 7471u * b + 0x8000u) >> 16);
}

}  // namespace sfumato
