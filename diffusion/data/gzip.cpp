#include "diffusion/data/gzip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>

namespace sfumato {

struct GzipFile::Inflater {
  Inflater() {
    // 15: the largest window; + 16: a gzip wrapper, checksum and length included.
    if (inflateInit2(&stream, 15 + 16) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
  std::array<unsigned char, 1 << 16> input;
  bool ended = false;    // a member is complete; another may follow
  bool further = false;  // this is not the first member
};

GzipFile::GzipFile(const std::filesystem::path& path) : file_(path) {
  unsigned char magic[2] = {0, 0};
  if (file_.size() >= 2) {
    file_.read_at(0, magic, sizeof(magic));
  }
  if (magic[0] == 0x1f && magic[1] == 0x8b) {
    inflater_ = std::make_unique<Inflater>();
  }
}

GzipFile::~GzipFile() = default;

int64_t GzipFile::most_bytes() const {
  constexpr int64_t kMostShrinking = 1032;
  if (!inflater_) {
    return file_.size();
  }
  return file_.size() > std::numeric_limits<int64_t>::max() / kMostShrinking ? std::numeric_limits<int64_t>::max()
                                                                             : file_.size() * kMostShrinking;
}

void GzipFile::reject(std::string_view what) const {
  throw FormatError(fmt::format("'{}': {}", path().string(), what));
}

void GzipFile::read(void* out, size_t bytes) {
  auto* to = static_cast<char*>(out);
  for (size_t done = 0; done < bytes;) {
    const size_t got = read_some(to + done, bytes - done);
    if (got == 0) {
      reject(fmt::format("ends too early: {} bytes more were expected", bytes - done));
    }
    done += got;
  }
}

void GzipFile::expect_end() {
  char more = 0;
  if (read_some(&more, 1) != 0) {
    reject("has more data than it declares");
  }
}

// Up to `bytes` bytes of content; 0 at its end.
size_t GzipFile::read_some(void* out, size_t bytes) {
  if (inflater_) {
    return inflate_some(out, bytes);
  }
  const auto count = static_cast<size_t>(std::min<int64_t>(static_cast<int64_t>(bytes), file_.size() - offset_));
  file_.read_at(offset_, out, count);
  offset_ += static_cast<int64_t>(count);
  return count;
}

// Takes the next piece of the compressed file; false at its end.
bool GzipFile::refill() {
  auto& input = inflater_->input;
  const auto count = std::min<int64_t>(static_cast<int64_t>(input.size()), file_.size() - offset_);
  file_.read_at(offset_, input.data(), static_cast<size_t>(count));
  offset_ += count;
  inflater_->stream.next_in = input.data();
  inflater_->stream.avail_in = static_cast<uInt>(count);
  return count > 0;
}

size_t GzipFile::inflate_some(void* out, size_t bytes) {
  z_stream& stream = inflater_->stream;
  const auto wanted = static_cast<uInt>(std::min<size_t>(bytes, 1 << 30));
  stream.next_out = static_cast<Bytef*>(out);
  stream.avail_out = wanted;
  while (stream.avail_out == wanted) {
    if (stream.avail_in == 0 && !refill()) {
      if (inflater_->ended) {
        return 0;
      }
      reject("is a truncated gzip file");
    }
    // gzip files may be several members, one after the other (RFC 1952, 2.2).
    if (inflater_->ended) {
      inflateReset(&stream);
      inflater_->ended = false;
      inflater_->further = true;
    }
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) {
      throw std::bad_alloc();
    }
    if (status == Z_DATA_ERROR && inflater_->further && stream.total_out == 0) {
      reject("has other bytes after the end of its gzip data");
    }
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      reject(fmt::format("is a corrupt gzip file ({})", stream.msg != nullptr ? stream.msg : "unknown reason"));
    }
    inflater_->ended = status == Z_STREAM_END;
  }
  return wanted - stream.avail_out;
}

}  // namespace sfumato
