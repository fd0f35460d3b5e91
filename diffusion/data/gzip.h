// A file read from front to back that may be gzipped (RFC 1952), decompressed as it is read.
//
//   GzipFile file("labels.gz");
//   file.read(buffer, 8);         // exactly 8 decompressed bytes, or FormatError
//   file.expect_end();            // FormatError unless that was all; for gzip this is what checks the checksum
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "tensor/io/file.h"

namespace sfumato {

class GzipFile {
 public:
  // Throws MissingInput or IoError. A file that does not begin as gzip does is read as it is.
  explicit GzipFile(const std::filesystem::path& path);
  ~GzipFile();
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  const std::filesystem::path& path() const { return file_.path(); }
  // No content can be longer than this: deflate shrinks at most 1032 times. For checks before allocating.
  int64_t most_bytes() const;
  // Fills `out`; throws FormatError when the content ends before or is corrupt.
  void read(void* out, size_t bytes);
  // Throws FormatError when there is more content, or when what was read fails its checksum.
  void expect_end();

 private:
  struct Inflater;

  size_t read_some(void* out, size_t bytes);
  size_t inflate_some(void* out, size_t bytes);
  bool refill();
  [[noreturn]] void reject(std::string_view what) const;

  InputFile file_;
  int64_t offset_ = 0;  // of the next byte to take from the file
  std::unique_ptr<Inflater> inflater_;
};

}  // namespace sfumato
