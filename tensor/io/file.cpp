#include "tensor/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace sfumato {
namespace {

namespace fs = std::filesystem;

// Linux transfers at most 0x7ffff000 bytes per call; a round number below keeps every system happy.
constexpr size_t kMaxTransfer = size_t{1} << 30;

template <class Failure = IoError>
[[noreturn]] void fail(std::string_view action, const fs::path& path, int error) {
  throw Failure(fmt::format("cannot {} '{}': {}", action, path.string(), std::generic_category().message(error)),
                error);
}

// Repeats a call that a signal interrupted. Signals are how a training run is asked to stop, so they do arrive here.
template <class Call>
auto retry(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) {
      return result;
    }
  }
}

FileHandle open_to_read(const fs::path& path, int flags) {
  FileHandle handle(retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags); }));
  if (handle.get() < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      fail<MissingInput>("open", path, error);
    }
    fail("open", path, error);
  }
  return handle;
}

// The folder that holds the entry; a trailing slash names the same entry as none.
fs::path parent_of(const fs::path& path) {
  const fs::path parent = path.has_filename() ? path.parent_path() : path.parent_path().parent_path();
  return parent.empty() ? fs::path(".") : parent;
}

// A new file beside `path`; its name is set in `temporary`. It does not contain that of `path`, which may be as long as
// the file system allows.
FileHandle open_temporary(const fs::path& path, fs::path& temporary) {
  std::string name = (parent_of(path) / ".writing-XXXXXX").string();
  FileHandle handle(retry([&] { return ::mkostemp(name.data(), O_CLOEXEC); }));
  if (handle.get() < 0) {
    fail("create", path, errno);
  }
  temporary = name;
  return handle;
}

// Removes the temporary file unless it has found its place.
class TemporaryGuard {
 public:
  explicit TemporaryGuard(const fs::path& temporary) : temporary_(temporary) {}
  ~TemporaryGuard() {
    if (armed_) {
      ::unlink(temporary_.c_str());
    }
  }
  TemporaryGuard(const TemporaryGuard&) = delete;
  TemporaryGuard& operator=(const TemporaryGuard&) = delete;
  void disarm() { armed_ = false; }

 private:
  const fs::path& temporary_;
  bool armed_ = true;
};

}  // namespace

FileHandle::~FileHandle() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

// O_NONBLOCK: opening a pipe that nobody writes to would wait for ever; a regular file ignores it.
InputFile::InputFile(const fs::path& path) : path_(path), handle_(open_to_read(path, O_NONBLOCK)) {
  struct stat status {};
  if (::fstat(handle_.get(), &status) != 0) {
    fail("open", path, errno);
  }
  if (S_ISDIR(status.st_mode)) {
    fail("open", path, EISDIR);
  }
  if (!S_ISREG(status.st_mode)) {
    throw IoError(fmt::format("cannot open '{}': not a regular file", path.string()));
  }
  size_ = status.st_size;
}

void InputFile::read_at(int64_t offset, void* out, size_t bytes) const {
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got =
        retry([&] { return ::pread(handle_.get(), to, std::min(bytes, kMaxTransfer), static_cast<off_t>(offset)); });
    if (got < 0) {
      fail("read", path_, errno);
    }
    if (got == 0) {
      throw IoError(
          fmt::format("cannot read '{}': it ends at byte {}, {} more were expected", path_.string(), offset, bytes));
    }
    to += got;
    offset += got;
    bytes -= static_cast<size_t>(got);
  }
}

void FileWriter::write(const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t done = retry([&] { return ::write(descriptor_, from, std::min(bytes, kMaxTransfer)); });
    if (done < 0) {
      fail("write", path_, errno);
    }
    from += done;
    bytes -= static_cast<size_t>(done);
  }
}

std::string read_file(const fs::path& path, size_t limit) {
  const FileHandle handle = open_to_read(path, 0);
  std::string content;
  size_t used = 0;
  for (;;) {
    content.resize(std::max<size_t>(used + used / 2, used + (size_t{1} << 16)));
    const ssize_t got = retry(
        [&] { return ::read(handle.get(), content.data() + used, std::min(content.size() - used, kMaxTransfer)); });
    if (got < 0) {
      fail("read", path, errno);
    }
    used += static_cast<size_t>(got);
    if (used > limit) {
      throw IoError(fmt::format("cannot read '{}': it holds more than {} bytes", path.string(), limit));
    }
    if (got == 0) {
      content.resize(used);
      return content;
    }
  }
}

void write_file_durably(const fs::path& path, const std::function<void(FileWriter&)>& produce) {
  fs::path temporary;
  FileHandle handle = open_temporary(path, temporary);
  TemporaryGuard guard(temporary);
  FileWriter writer(path, handle.get());
  produce(writer);
  // mkostemp makes the file private; what we write is meant for others to read.
  if (::fchmod(handle.get(), 0644) != 0) {
    fail("set the mode of", path, errno);
  }
  if (retry([&] { return ::fsync(handle.get()); }) != 0) {
    fail("sync", path, errno);
  }
  // No retry: after EINTR Linux has closed the descriptor. Network file systems report lost writes here.
  if (::close(handle.release()) != 0 && errno != EINTR) {
    fail("close", path, errno);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    fail("create", path, errno);
  }
  guard.disarm();
  sync_directory(parent_of(path));
}

void write_file_durably(const fs::path& path, std::string_view bytes) {
  write_file_durably(path, [&](FileWriter& out) { out.write(bytes); });
}

void make_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error)) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) {
    fail("create folder", path, error.value());
  }
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) {
    const int error = errno;
    throw IoError(fmt::format("cannot rename '{}' to '{}': {}", from.string(), to.string(),
                              std::generic_category().message(error)),
                  error);
  }
  sync_directory(parent_of(to));
  if (parent_of(from) != parent_of(to)) {
    sync_directory(parent_of(from));
  }
}

void write_folder_durably(const fs::path& path, const std::function<void(const fs::path& folder)>& fill) {
  const fs::path building = path.string() + ".tmp";
  remove_tree(building);
  try {
    make_directory(building);
    fill(building);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(building, ignored);
    throw;
  }
  if (!fs::exists(path)) {
    rename_durably(building, path);
    return;
  }
  // A folder that is not empty cannot be renamed over: it steps aside first.
  const fs::path old = path.string() + ".old";
  remove_tree(old);
  rename_durably(path, old);
  rename_durably(building, path);
  remove_tree(old);
}

void sync_directory(const fs::path& path) {
  const FileHandle handle = open_to_read(path, O_DIRECTORY);
  // EINVAL: this file system keeps no folders that could be synced (some network and FUSE ones); there is no more to
  // do.
  if (retry([&] { return ::fsync(handle.get()); }) != 0 && errno != EINVAL) {
    fail("sync folder", path, errno);
  }
}

void remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) {
    fail("remove", path, error.value());
  }
}

}  // namespace sfumato
