#include "tensor/io/file.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>

#include "tensor/io/file_system.h"

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
  FileHandle handle(retry([&] { return file_system().open(path.c_str(), O_RDONLY | O_CLOEXEC | flags, 0); }));
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

constexpr std::string_view kUnfinished = ".writing-";

// A new file beside `path`; its name is set in `temporary`. It does not contain that of `path`, which may be as long as
// the file system allows.
FileHandle open_temporary(const fs::path& path, fs::path& temporary) {
  std::string name = (parent_of(path) / (std::string(kUnfinished) + "XXXXXX")).string();
  FileHandle handle(retry([&] { return file_system().make_temporary(name.data()); }));
  if (handle.get() < 0) {
    fail("create", path, errno);
  }
  temporary = name;
  return handle;
}

// A link to a folder counts as one.
bool is_folder(const fs::path& path) {
  const FileHandle handle(
      retry([&] { return file_system().open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY, 0); }));
  return handle.get() >= 0;
}

// Removes the temporary file unless it has found its place.
class TemporaryGuard {
 public:
  explicit TemporaryGuard(const fs::path& temporary) : temporary_(temporary) {}
  ~TemporaryGuard() {
    if (armed_) {
      file_system().unlink(temporary_.c_str());
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
    file_system().close(descriptor_);
  }
}

// O_NONBLOCK: opening a pipe that nobody writes to would wait for ever; a regular file ignores it.
InputFile::InputFile(const fs::path& path) : path_(path), handle_(open_to_read(path, O_NONBLOCK)) {
  FileStatus status;
  if (file_system().fstat(handle_.get(), status) != 0) {
    fail("open", path, errno);
  }
  if (status.kind == FileStatus::Kind::folder) {
    fail("open", path, EISDIR);
  }
  if (status.kind != FileStatus::Kind::file) {
    throw IoError(fmt::format("cannot open '{}': not a regular file", path.string()));
  }
  size_ = status.size;
}

void InputFile::read_at(int64_t offset, void* out, size_t bytes) const {
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = retry([&] {
      return file_system().pread(handle_.get(), to, std::min(bytes, kMaxTransfer), static_cast<off_t>(offset));
    });
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
    const ssize_t done = retry([&] { return file_system().write(descriptor_, from, std::min(bytes, kMaxTransfer)); });
    if (done < 0) {
      fail("write", path_, errno);
    }
    digester_.update(from, static_cast<size_t>(done));
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
    const ssize_t got = retry([&] {
      return file_system().read(handle.get(), content.data() + used, std::min(content.size() - used, kMaxTransfer));
    });
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

FileDigest write_file_durably(const fs::path& path, const std::function<void(FileWriter&)>& produce) {
  fs::path temporary;
  FileHandle handle = open_temporary(path, temporary);
  TemporaryGuard guard(temporary);
  FileWriter writer(path, handle.get());
  produce(writer);
  // mkostemp makes the file private; what we write is meant for others to read.
  if (file_system().fchmod(handle.get(), 0644) != 0) {
    fail("set the mode of", path, errno);
  }
  if (retry([&] { return file_system().fsync(handle.get()); }) != 0) {
    fail("sync", path, errno);
  }
  // No retry: after EINTR Linux has closed the descriptor. Network file systems report lost writes here.
  if (file_system().close(handle.release()) != 0 && errno != EINTR) {
    fail("close", path, errno);
  }
  if (file_system().rename(temporary.c_str(), path.c_str()) != 0) {
    fail("create", path, errno);
  }
  guard.disarm();
  sync_directory(parent_of(path));
  return writer.digest();
}

FileDigest write_file_durably(const fs::path& path, std::string_view bytes) {
  return write_file_durably(path, [&](FileWriter& out) { out.write(bytes); });
}

std::vector<std::string> list_folder(const fs::path& path) {
  std::vector<std::string> names;
  if (file_system().list(path.c_str(), names) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) {
      fail<MissingInput>("open folder", path, error);
    }
    fail("open folder", path, error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool path_exists(const fs::path& path) {
  FileStatus status;
  return file_system().stat(path.c_str(), status) == 0;
}

uint64_t free_space(const fs::path& path) {
  uint64_t bytes = 0;
  if (file_system().free_space(path.c_str(), bytes) != 0) {
    fail("ask for the free space of", path, errno);
  }
  return bytes;
}

void make_directory(const fs::path& path) {
  // From the outermost missing parent inwards.
  fs::path grown;
  for (const fs::path& part : path) {
    grown /= part;
    if (part.empty()) {
      continue;
    }
    if (file_system().mkdir(grown.c_str(), 0777) == 0) {
      sync_directory(parent_of(grown));
      continue;
    }
    const int error = errno;
    if (error != EEXIST && error != EISDIR && error != EROFS) {
      fail("create folder", path, error);
    }
    if (!is_folder(grown)) {
      fail("create folder", path, error == EEXIST ? ENOTDIR : error);
    }
  }
}

void rename_durably(const fs::path& from, const fs::path& to) {
  if (file_system().rename(from.c_str(), to.c_str()) != 0) {
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
    sync_directory(building);
  } catch (...) {
    const std::exception_ptr cause = std::current_exception();
    try {
      remove_tree(building);
    } catch (const IoError&) {  // what went wrong first is what matters
    }
    std::rethrow_exception(cause);
  }
  if (!path_exists(path)) {
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

void remove_unfinished_files(const fs::path& folder) {
  for (const std::string& name : list_folder(folder)) {
    if (name.starts_with(kUnfinished) && name.size() == kUnfinished.size() + 6) {
      remove_tree(folder / name);
    }
  }
}

void sync_directory(const fs::path& path) {
  const FileHandle handle = open_to_read(path, O_DIRECTORY);
  // EINVAL: this file system keeps no folders that could be synced (some network and FUSE ones); there is no more to
  // do.
  if (retry([&] { return file_system().fsync(handle.get()); }) != 0 && errno != EINVAL) {
    fail("sync folder", path, errno);
  }
}

void remove_tree(const fs::path& path) {
  FileStatus status;
  if (file_system().stat(path.c_str(), status) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) {
      fail("remove", path, errno);
    }
    return;
  }
  if (status.kind != FileStatus::Kind::folder) {
    if (file_system().unlink(path.c_str()) != 0) {
      fail("remove", path, errno);
    }
    return;
  }
  for (const std::string& name : list_folder(path)) {
    remove_tree(path / name);
  }
  if (file_system().rmdir(path.c_str()) != 0) {
    fail("remove", path, errno);
  }
}

}  // namespace sfumato
