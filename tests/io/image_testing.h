// Image files for tests, of kinds that our own encoder does not write, made by libpng and libjpeg themselves.
//
//   put(folder / "grey.jpg", make_jpeg(8, 8, 1, std::string(64, '\x80')));
#pragma once

#include <string>

namespace sfumato::testing {

struct PngKind {
  int color_type;  // PNG_COLOR_TYPE_...
  int bit_depth = 8;
  bool interlaced = false;
  std::string palette = {};       // three bytes a color
  std::string transparency = {};  // palette: alphas; grey: one big-endian 16-bit value, colour: three, that are clear
};

// `rows`: the rows as PNG packs them, one after the other.
std::string make_png(int width, int height, const PngKind& kind, const std::string& rows);

struct JpegKind {
  int quality = 95;
  bool progressive = false;
  bool many_scans = false;  // more than a decoder should bear
};

// `pixels`: interleaved bytes; components 1 grey, 3 RGB, 4 CMYK.
std::string make_jpeg(int width, int height, int components, const std::string& pixels, const JpegKind& kind = {});

// `width` x `height` pixels of `components` bytes: smooth, without symmetry, no channel like another.
std::string smooth_pixels(int width, int height, int components);

// Sets the checksum of every chunk of a PNG file that is otherwise whole.
std::string with_png_checksums(std::string png);

}  // namespace sfumato::testing
