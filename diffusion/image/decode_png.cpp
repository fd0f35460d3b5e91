#include <fmt/format.h>
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <new>

#include "diffusion/image/decode.h"
#include "diffusion/image/decode_formats.h"
#include "tensor/io/file.h"

namespace sfumato::detail {
namespace {

struct Source {
  std::string_view rest;
  char message[128] = "";
};

// libpng wants this not to return. It is C, so we leave by longjmp, not by an exception.
[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* source = static_cast<Source*>(png_get_error_ptr(png));
  std::strncpy(source->message, message, sizeof(source->message) - 1);
  png_longjmp(png, 1);
}

// Such as a bad checksum of a comment: the pixels are not concerned.
void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep out, size_t count) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (source->rest.size() < count) {
    png_error(png, "it ends too early");
  }
  std::memcpy(out, source->rest.data(), count);
  source->rest.remove_prefix(count);
}

// What says nothing of pixels as they are stored is passed over unread: libpng would unpack text and profiles of any
// size, and take the memory that a chunk's length announces before it looks for its bytes.
constexpr png_byte kPassedOver[] =
    "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0tEXt\0tIME\0zTXt";

// Nothing in the three functions below may need a destructor: longjmp comes back to setjmp without running any.

// Reads up to the pixels; false after an error.
bool read_header(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    return false;
  }
  png_read_info(png, info);
  return true;
}

// Asks for 8 bits and no palette; false after an error. libpng takes memory for rows here.
bool begin_pixels(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    return false;
  }
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

// Reads height x width pixels, `stride` bytes a row; false after an error.
bool read_pixels(png_structp png, int passes, uint8_t* pixels, int64_t height, int64_t stride) {
  if (setjmp(png_jmpbuf(png)) != 0) {
    return false;
  }
  for (int pass = 0; pass < passes; ++pass) {
    for (int64_t y = 0; y < height; ++y) {
      png_read_row(png, pixels + y * stride, nullptr);
    }
  }
  png_read_end(png, nullptr);
  return true;
}

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& name) : source_{bytes}, name_(name) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &source_, on_error, on_warning);
    info_ = png_ != nullptr ? png_create_info_struct(png_) : nullptr;
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, &info_, nullptr);
      throw std::bad_alloc();
    }
    png_set_read_fn(png_, &source_, on_read);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kPassedOver, sizeof(kPassedOver) / 5);
    // Larger images are for our own message.
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  }
  ~Reader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Tensor read() {
    require(read_header(png_, info_));
    const int64_t height = png_get_image_height(png_, info_), width = png_get_image_width(png_, info_);
    check_image_size(height, width, name_);
    require(begin_pixels(png_, info_));
    const int64_t channels = png_get_channels(png_, info_);
    const int64_t stride = width * channels;
    ensure(png_get_bit_depth(png_, info_) == 8 && static_cast<int64_t>(png_get_rowbytes(png_, info_)) == stride,
           "decode_png: a row has ", png_get_rowbytes(png_, info_), " bytes, not ", stride);
    Tensor pixels = Tensor::empty({height, width, channels}, DType::u8);
    const int passes = png_get_interlace_type(png_, info_) == PNG_INTERLACE_ADAM7 ? 7 : 1;
    require(read_pixels(png_, passes, pixels.mutable_data<uint8_t>(), height, stride));
    return pixels;
  }

 private:
  void require(bool done) const {
    if (!done) {
      throw FormatError(fmt::format("'{}': is a corrupt PNG file ({})", name_, source_.message));
    }
  }

  Source source_;
  const std::string& name_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

Tensor decode_png(std::string_view bytes, const std::string& name) { return Reader(bytes, name).read(); }

}  // namespace sfumato::detail
