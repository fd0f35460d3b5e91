// Digests: the length and the 128-bit XXH3 hash of bytes, by which a damaged file is told from a whole one.
//
//   FileDigest written = write_file_durably("a.bin", bytes);      // "tensor/io/file.h"
//   digest_of_file("a.bin") == written;                            // later, before it is trusted
//
// XXH3 (https://xxhash.com) finds accidents, not forgeries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace sfumato {

struct FileDigest {
  uint64_t bytes = 0;
  std::string xxh3_128;  // 32 hexadecimal digits, the high half first, as xxhsum prints them
  friend bool operator==(const FileDigest&, const FileDigest&) = default;
};

// Takes bytes in as many pieces as they come in.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;
  void update(const void* data, size_t bytes);
  FileDigest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Reads the whole file. Throws MissingInput or IoError.
FileDigest digest_of_file(const std::filesystem::path& path);

}  // namespace sfumato
