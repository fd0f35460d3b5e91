// A read-only file system of a few files in memory, so that readers of files can be fuzzed without a disk.
//
//   OneFolder folder;
//   const FileSystemScope scope(folder);
//   folder.set({{"/f/x.safetensors", bytes}});         // the bytes must outlive their use
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/io/file_system.h"

namespace sfumato::fuzz {

// Every folder exists; nothing can be written.
class OneFolder final : public FileSystem {
 public:
  using File = std::pair<std::string, std::string_view>;
  void set(std::vector<File> files) {
    files_ = std::move(files);
    open_.clear();
  }

  int open(const char* path, int flags, mode_t mode) override;
  int close(int descriptor) override;
  ssize_t read(int descriptor, void* out, size_t bytes) override;
  ssize_t pread(int descriptor, void* out, size_t bytes, off_t offset) override;
  int fstat(int descriptor, FileStatus& status) override;
  int stat(const char* path, FileStatus& status) override;
  int list(const char* path, std::vector<std::string>& names) override;

  int make_temporary(char* name) override;
  ssize_t write(int descriptor, const void* data, size_t bytes) override;
  int fsync(int descriptor) override;
  int fchmod(int descriptor, mode_t mode) override;
  int mkdir(const char* path, mode_t mode) override;
  int rename(const char* from, const char* to) override;
  int unlink(const char* path) override;
  int rmdir(const char* path) override;
  int free_space(const char* path, uint64_t& bytes) override;

 private:
  struct Open {
    size_t file;
    size_t at = 0;
  };
  // Its place in files_, or files_.size().
  size_t find(std::string_view path) const;

  std::vector<File> files_;
  std::vector<Open> open_;  // a descriptor is a place in it
};

}  // namespace sfumato::fuzz
