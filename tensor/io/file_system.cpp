#include "tensor/io/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace sfumato {
namespace {

FileStatus status_of(const struct stat& raw) {
  FileStatus status;
  status.kind = S_ISREG(raw.st_mode)   ? FileStatus::Kind::file
                : S_ISDIR(raw.st_mode) ? FileStatus::Kind::folder
                                       : FileStatus::Kind::other;
  status.size = raw.st_size;
  return status;
}

class SystemCalls final : public FileSystem {
 public:
  int open(const char* path, int flags, mode_t mode) override { return ::open(path, flags, mode); }
  int make_temporary(char* name) override { return ::mkostemp(name, O_CLOEXEC); }
  int close(int descriptor) override { return ::close(descriptor); }
  ssize_t read(int descriptor, void* out, size_t bytes) override { return ::read(descriptor, out, bytes); }
  ssize_t pread(int descriptor, void* out, size_t bytes, off_t offset) override {
    return ::pread(descriptor, out, bytes, offset);
  }
  ssize_t write(int descriptor, const void* data, size_t bytes) override { return ::write(descriptor, data, bytes); }
  int fsync(int descriptor) override { return ::fsync(descriptor); }
  int fchmod(int descriptor, mode_t mode) override { return ::fchmod(descriptor, mode); }
  int fstat(int descriptor, FileStatus& status) override {
    struct stat raw {};
    const int result = ::fstat(descriptor, &raw);
    status = status_of(raw);
    return result;
  }
  // A link is no file of ours: what it points to is not looked at.
  int stat(const char* path, FileStatus& status) override {
    struct stat raw {};
    const int result = ::lstat(path, &raw);
    status = status_of(raw);
    return result;
  }
  int mkdir(const char* path, mode_t mode) override { return ::mkdir(path, mode); }
  int rename(const char* from, const char* to) override { return ::rename(from, to); }
  int unlink(const char* path) override { return ::unlink(path); }
  int rmdir(const char* path) override { return ::rmdir(path); }
  int list(const char* path, std::vector<std::string>& names) override {
    DIR* folder = ::opendir(path);
    if (folder == nullptr) {
      return -1;
    }
    errno = 0;
    while (const dirent* entry = ::readdir(folder)) {
      if (const std::string_view name = entry->d_name; name != "." && name != "..") {
        names.emplace_back(name);
      }
    }
    const int error = errno;
    ::closedir(folder);
    errno = error;
    return error == 0 ? 0 : -1;
  }
  int free_space(const char* path, uint64_t& bytes) override {
    struct statvfs raw {};
    const int result = ::statvfs(path, &raw);
    bytes = static_cast<uint64_t>(raw.f_bavail) * raw.f_frsize;
    return result;
  }
};

SystemCalls system_calls;
std::atomic<FileSystem*> in_force{&system_calls};

}  // namespace

FileSystem& file_system() { return *in_force.load(std::memory_order_acquire); }

FileSystemScope::FileSystemScope(FileSystem& wanted) : previous_(in_force.exchange(&wanted)) {}
FileSystemScope::~FileSystemScope() { in_force = previous_; }

}  // namespace sfumato
