#include "tests/fuzz/one_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sfumato::fuzz {
namespace {

int failed(int error) {
  errno = error;
  return -1;
}

}  // namespace

size_t OneFolder::find(std::string_view path) const {
  const auto found = std::find_if(files_.begin(), files_.end(), [&](const File& file) { return file.first == path; });
  return static_cast<size_t>(found - files_.begin());
}

int OneFolder::open(const char* path, int, mode_t) {
  const size_t file = find(path);
  if (file == files_.size()) return failed(ENOENT);
  open_.push_back({file});
  return static_cast<int>(open_.size() - 1);
}

int OneFolder::close(int) { return 0; }

ssize_t OneFolder::pread(int descriptor, void* out, size_t bytes, off_t offset) {
  const std::string_view content = files_[open_[static_cast<size_t>(descriptor)].file].second;
  const size_t at = std::min(static_cast<size_t>(offset), content.size());
  const size_t count = std::min(bytes, content.size() - at);
  std::memcpy(out, content.data() + at, count);
  return static_cast<ssize_t>(count);
}

ssize_t OneFolder::read(int descriptor, void* out, size_t bytes) {
  size_t& at = open_[static_cast<size_t>(descriptor)].at;
  const ssize_t count = pread(descriptor, out, bytes, static_cast<off_t>(at));
  at += static_cast<size_t>(count);
  return count;
}

int OneFolder::fstat(int descriptor, FileStatus& status) {
  const std::string_view content = files_[open_[static_cast<size_t>(descriptor)].file].second;
  status = {FileStatus::Kind::file, static_cast<int64_t>(content.size())};
  return 0;
}

int OneFolder::stat(const char* path, FileStatus& status) {
  const size_t file = find(path);
  if (file < files_.size()) {
    status = {FileStatus::Kind::file, static_cast<int64_t>(files_[file].second.size())};
    return 0;
  }
  const std::string below = std::string(path) + "/";
  const bool folder =
      std::any_of(files_.begin(), files_.end(), [&](const File& held) { return held.first.starts_with(below); });
  if (!folder) return failed(ENOENT);
  status = {FileStatus::Kind::folder, 0};
  return 0;
}

int OneFolder::list(const char* path, std::vector<std::string>& names) {
  const std::string below = std::string(path) + "/";
  for (const auto& [name, content] : files_) {
    if (name.starts_with(below)) names.push_back(name.substr(below.size(), name.find('/', below.size())));
  }
  return 0;
}

int OneFolder::make_temporary(char*) { return failed(EROFS); }
ssize_t OneFolder::write(int, const void*, size_t) { return failed(EROFS); }
int OneFolder::fsync(int) { return failed(EROFS); }
int OneFolder::fchmod(int, mode_t) { return failed(EROFS); }
int OneFolder::mkdir(const char*, mode_t) { return failed(EROFS); }
int OneFolder::rename(const char*, const char*) { return failed(EROFS); }
int OneFolder::unlink(const char*) { return failed(EROFS); }
int OneFolder::rmdir(const char*) { return failed(EROFS); }
int OneFolder::free_space(const char*, uint64_t& bytes) {
  bytes = 0;
  return 0;
}

}  // namespace sfumato::fuzz
