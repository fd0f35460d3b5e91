// The seam between file.cpp and the system: the calls that our files are read, written and moved with. Tests put a
// double in its place, which fails, shortens, loses or stops at any of them.
//
//   FileSystem& fs = file_system();
//   const int descriptor = fs.open("a.txt", O_RDONLY, 0);       // as open(2): -1 and errno when it fails
//
//   MemoryDisk disk;                                            // a test's double
//   FileSystemScope scope(disk);                                // in force for every thread while it lives
//
// Every function behaves as the POSIX call of its name; none throws.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sfumato {

struct FileStatus {
  enum class Kind { file, folder, other } kind = Kind::other;
  int64_t size = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual int open(const char* path, int flags, mode_t mode) = 0;
  // mkostemp(3): replaces the XXXXXX at the end of `name`.
  virtual int make_temporary(char* name) = 0;
  virtual int close(int descriptor) = 0;
  virtual ssize_t read(int descriptor, void* out, size_t bytes) = 0;
  virtual ssize_t pread(int descriptor, void* out, size_t bytes, off_t offset) = 0;
  virtual ssize_t write(int descriptor, const void* data, size_t bytes) = 0;
  virtual int fsync(int descriptor) = 0;
  virtual int fchmod(int descriptor, mode_t mode) = 0;
  virtual int fstat(int descriptor, FileStatus& status) = 0;
  virtual int stat(const char* path, FileStatus& status) = 0;
  virtual int mkdir(const char* path, mode_t mode) = 0;
  virtual int rename(const char* from, const char* to) = 0;
  virtual int unlink(const char* path) = 0;
  virtual int rmdir(const char* path) = 0;
  // The names in a folder, without "." and "..", in no particular order.
  virtual int list(const char* path, std::vector<std::string>& names) = 0;
  // Bytes that this process may still write where `path` is.
  virtual int free_space(const char* path, uint64_t& bytes) = 0;
};

// The one in force: the system's own unless a scope says otherwise.
FileSystem& file_system();

// Puts another one in its place while it lives. For tests: one at a time.
class FileSystemScope {
 public:
  explicit FileSystemScope(FileSystem& wanted);
  ~FileSystemScope();
  FileSystemScope(const FileSystemScope&) = delete;
  FileSystemScope& operator=(const FileSystemScope&) = delete;

 private:
  FileSystem* previous_;
};

}  // namespace sfumato
