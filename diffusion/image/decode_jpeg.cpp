#include <fmt/format.h>

// jpeglib.h wants these two before it.
#include <cstddef>
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include <csetjmp>

#include "diffusion/image/decode.h"
#include "diffusion/image/decode_formats.h"
#include "tensor/io/file.h"

namespace sfumato::detail {
namespace {

// Real files have about ten. Each costs a pass over all pixels, so that a small file could keep us busy for hours.
constexpr int kMaxScans = 64;

struct ErrorState {
  jpeg_error_mgr manager;  // first, so that the library's pointer is also ours
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
};

// The library wants this not to return. It is C, so we leave by longjmp, not by an exception.
[[noreturn]] void on_error(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  info->err->format_message(info, state->message);
  std::longjmp(state->jump, 1);
}

// Level -1 is a warning: data are missing or corrupt, and the library would go on with grey. Three harmless ones are
// let through, for they are in files that everybody shows: odd bytes between segments and unknown versions of two
// markers.
void on_message(j_common_ptr info, int level) {
  const int code = info->err->msg_code;
  if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM) {
    on_error(info);
  }
}

void on_output(j_common_ptr) {}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    auto* state = reinterpret_cast<ErrorState*>(info->err);
    std::snprintf(state->message, sizeof(state->message), "it has more than %d scans", kMaxScans);
    std::longjmp(state->jump, 1);
  }
}

// Nothing in the three functions below may need a destructor: longjmp comes back to setjmp without running any.

bool create(jpeg_decompress_struct& jpeg, ErrorState& errors) {
  if (setjmp(errors.jump) != 0) {
    return false;
  }
  jpeg_create_decompress(&jpeg);
  return true;
}

bool read_header(jpeg_decompress_struct& jpeg, ErrorState& errors, std::string_view bytes) {
  if (setjmp(errors.jump) != 0) {
    return false;
  }
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&jpeg, TRUE);
  return true;
}

// Reads all rows, each `stride` bytes.
bool read_pixels(jpeg_decompress_struct& jpeg, ErrorState& errors, uint8_t* pixels, int64_t stride) {
  if (setjmp(errors.jump) != 0) {
    return false;
  }
  jpeg.dct_method = JDCT_ISLOW;  // exact, so the same in vector code and without
  jpeg.do_fancy_upsampling = TRUE;
  jpeg_start_decompress(&jpeg);
  while (jpeg.output_scanline < jpeg.output_height) {
    JSAMPROW row = pixels + jpeg.output_scanline * stride;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_decompress(&jpeg);
  return true;
}

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {
    jpeg_.err = jpeg_std_error(&errors_.manager);
    errors_.manager.error_exit = on_error;
    errors_.manager.emit_message = on_message;
    errors_.manager.output_message = on_output;
    errors_.message[0] = '\0';
    require(create(jpeg_, errors_));
    progress_.progress_monitor = on_progress;
    jpeg_.progress = &progress_;
  }
  ~Reader() { jpeg_destroy_decompress(&jpeg_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Tensor read(std::string_view bytes) {
    require(read_header(jpeg_, errors_, bytes));
    const int64_t height = jpeg_.image_height, width = jpeg_.image_width;
    check_image_size(height, width, name_);
    const int64_t channels = choose_channels();
    Tensor pixels = Tensor::empty({height, width, channels}, DType::u8);
    require(read_pixels(jpeg_, errors_, pixels.mutable_data<uint8_t>(), width * channels));
    return pixels;
  }

 private:
  int64_t choose_channels() {
    switch (jpeg_.jpeg_color_space) {
      case JCS_GRAYSCALE: jpeg_.out_color_space = JCS_GRAYSCALE; return 1;
      case JCS_YCbCr:
      case JCS_RGB: jpeg_.out_color_space = JCS_RGB; return 3;
      case JCS_CMYK:
      case JCS_YCCK: throw FormatError(fmt::format("'{}': is a CMYK JPEG file; convert it to RGB", name_));
      default:
        throw FormatError(
            fmt::format("'{}': a JPEG file of {} components, neither grey nor colour", name_, jpeg_.num_components));
    }
  }

  void require(bool done) const {
    if (!done) {
      throw FormatError(fmt::format("'{}': is a corrupt JPEG file ({})", name_, errors_.message));
    }
  }

  const std::string& name_;
  jpeg_decompress_struct jpeg_{};
  ErrorState errors_;
  jpeg_progress_mgr progress_{};
};

}  // namespace

Tensor decode_jpeg(std::string_view bytes, const std::string& name) { return Reader(name).read(bytes); }

}  // namespace sfumato::detail
