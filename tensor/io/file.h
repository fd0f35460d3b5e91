// Files: every call of the system that opens, reads, writes, syncs or renames a file of ours goes through here, so that
// each is checked in one place; below it, "tensor/io/file_system.h" is where tests inject faults.
//
//   std::string text = read_file("config.json", /*limit=*/1 << 20);
//   write_file_durably("out/config.json", text);
//   write_file_durably("out/model.bin", [&](FileWriter& out) { out.write(data, bytes); });
//
// "Durably": a reader, or the next start after a power cut, sees the old file or the whole new one, never a half. The
// order that gives this on POSIX: write a temporary file in the same folder, fsync it, rename it over the old one,
// fsync the folder. A failed fsync is a failed write: the kernel may have dropped the pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/check.h"
#include "tensor/io/digest.h"

namespace sfumato {

// A file or folder that cannot be opened, read or written; the message has its path and the system's reason.
class IoError : public std::runtime_error {
 public:
  explicit IoError(const std::string& message, int error_number = 0)
      : std::runtime_error(message), error_number_(error_number) {}
  // The system's errno, 0 where it reported none.
  int error_number() const { return error_number_; }

 private:
  int error_number_;
};

// What was to be read does not exist. Apart from IoError because the remedy is the user's (exit code 66, not 74).
class MissingInput : public IoError {
 public:
  using IoError::IoError;
};

// A file whose bytes break its format; the message has the path and the rule.
class FormatError : public Error {
 public:
  using Error::Error;
};

// An open descriptor, closed with its owner.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int descriptor) : descriptor_(descriptor) {}
  FileHandle(FileHandle&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileHandle& operator=(FileHandle other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileHandle();

  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_ = -1;
};

// A regular file opened for reading at any offset. Reads are safe from several threads at once.
class InputFile {
 public:
  // Throws MissingInput when there is no such file, IoError when it cannot be opened or is no regular file.
  explicit InputFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  // In bytes, when it was opened.
  int64_t size() const { return size_; }
  // Fills `out` with the `bytes` bytes from `offset` on; throws IoError when the file ends before (it was truncated).
  void read_at(int64_t offset, void* out, size_t bytes) const;

 private:
  std::filesystem::path path_;
  FileHandle handle_;
  int64_t size_ = 0;
};

// Appends to a file that is being written.
class FileWriter {
 public:
  FileWriter(const std::filesystem::path& path, int descriptor) : path_(path), descriptor_(descriptor) {}
  // Writes all bytes or throws IoError.
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  // Of what has been written.
  FileDigest digest() const { return digester_.digest(); }

 private:
  const std::filesystem::path& path_;  // for messages: the file that this will become
  int descriptor_;
  Digester digester_;
};

// The whole content; also of what has no size, as pipes and /proc have none. Throws MissingInput when there is no such
// file, IoError when it cannot be read or holds more than `limit` bytes.
std::string read_file(const std::filesystem::path& path, size_t limit);

// Replaces `path` by what is given or by what `produce` writes, durably (see above), with mode 0644. When anything
// throws, `produce` included, the old file is untouched and the temporary one gone. Returns what was written's digest.
// Throws IoError.
FileDigest write_file_durably(const std::filesystem::path& path, std::string_view bytes);
FileDigest write_file_durably(const std::filesystem::path& path, const std::function<void(FileWriter&)>& produce);

// The names in a folder, sorted, without "." and "..". Throws MissingInput or IoError.
std::vector<std::string> list_folder(const std::filesystem::path& path);

// Whether there is anything of that name; a link that leads nowhere is something.
bool path_exists(const std::filesystem::path& path);

// Bytes that this process may still write in the file system of an existing path. Throws IoError.
uint64_t free_space(const std::filesystem::path& path);

// Makes the folder and its missing parents; one that is there already is no error. Throws IoError.
void make_directory(const std::filesystem::path& path);

// Renames a file or folder within one file system, replacing a file or an empty folder, and fsyncs the parents. What is
// inside a folder must have been written durably before. Throws IoError.
void rename_durably(const std::filesystem::path& from, const std::filesystem::path& to);

// Makes or replaces the folder `path` as a whole: `fill` writes into a new folder beside it, which is then renamed, so
// that `path` is never half there. When anything throws, the new folder is removed and an old `path` is untouched.
// `fill` must write its files durably. Throws IoError.
void write_folder_durably(const std::filesystem::path& path,
                          const std::function<void(const std::filesystem::path& folder)>& fill);

// Removes the temporary files of write_file_durably() calls in this folder that were killed; nobody may be writing
// there. Throws IoError.
void remove_unfinished_files(const std::filesystem::path& folder);

// Waits until the entries of a folder (not what its files hold) are on the disk. Throws IoError.
void sync_directory(const std::filesystem::path& path);

// Removes a file, or a folder with all it holds; one that is not there is no error. Throws IoError.
void remove_tree(const std::filesystem::path& path);

}  // namespace sfumato
