// The decoders behind decode_image(), one file each because both libraries report errors by longjmp.
//
//   Tensor pixels = decode_png(bytes, "cat.png");   // with the channels that the file has
#pragma once

#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace sfumato::detail {

// u8 (H, W, C): C = 1 grey, 2 grey and alpha, 3 colour, 4 colour and alpha. Throw FormatError.
Tensor decode_png(std::string_view bytes, const std::string& name);
Tensor decode_jpeg(std::string_view bytes, const std::string& name);

// Throws FormatError naming the limit when an image of this size is not to be decoded.
void check_image_size(int64_t height, int64_t width, const std::string& name);

}  // namespace sfumato::detail
