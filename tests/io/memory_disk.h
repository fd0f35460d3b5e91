// MemoryDisk: a file system in memory that a test can crash. It keeps what the running system sees apart from what is
// on the disk for good: a file's bytes reach the disk when the file is fsynced, a name when its folder is.
//
//   MemoryDisk disk;
//   disk.fail_at(17, Fault::power_cut);        // the 17th call from now, counted from 0
//   { FileSystemScope scope(disk);  save(); }  // stops there with Stopped
//   disk.reboot();                             // and what was not synced is gone
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/io/file_system.h"

namespace sfumato::testing {

enum class Fault {
  none,
  kill,          // the process ends; what it wrote is seen by the next one
  power_cut,     // the machine ends: only what was synced is left
  no_space,      // the call fails with ENOSPC
  io_error,      // the call fails with EIO
  short_write,   // half of the bytes are written, and the next call for the rest fails with ENOSPC
  failed_fsync,  // fsync fails with EIO, and the file's pages are dropped
};
inline constexpr Fault kFaults[] = {Fault::kill,     Fault::power_cut,   Fault::no_space,
                                    Fault::io_error, Fault::short_write, Fault::failed_fsync};
const char* name_of(Fault fault);

// What a test sees where a real process would be gone. Not derived from std::exception: no handler may catch it.
struct Stopped {};

class MemoryDisk final : public FileSystem {
 public:
  MemoryDisk();

  void fail_at(int64_t call, Fault fault);
  // Calls since the last fail_at().
  int64_t calls() const { return calls_; }
  // The process or the machine has ended: a call that was in a destructor could not say so by throwing.
  bool stopped() const { return dead_; }
  // The next process starts: after a power cut with what is on the disk for good.
  void reboot();
  void set_free_space(uint64_t bytes) { free_space_ = bytes; }
  // Everything is on the disk.
  void sync_all();

  int open(const char* path, int flags, mode_t mode) override;
  int make_temporary(char* name) override;
  int close(int descriptor) override;
  ssize_t read(int descriptor, void* out, size_t bytes) override;
  ssize_t pread(int descriptor, void* out, size_t bytes, off_t offset) override;
  ssize_t write(int descriptor, const void* data, size_t bytes) override;
  int fsync(int descriptor) override;
  int fchmod(int descriptor, mode_t mode) override;
  int fstat(int descriptor, FileStatus& status) override;
  int stat(const char* path, FileStatus& status) override;
  int mkdir(const char* path, mode_t mode) override;
  int rename(const char* from, const char* to) override;
  int unlink(const char* path) override;
  int rmdir(const char* path) override;
  int list(const char* path, std::vector<std::string>& names) override;
  int free_space(const char* path, uint64_t& bytes) override;

 private:
  struct Node;
  using NodePtr = std::shared_ptr<Node>;
  struct Node {
    bool folder = false;
    std::string bytes, bytes_on_disk;                     // of a file
    std::map<std::string, NodePtr> names, names_on_disk;  // of a folder
  };
  struct Open {
    NodePtr node;
    size_t at = 0;
  };
  enum class Call { writes, syncs, other };

  // Counts the call, and makes the fault happen when it is its turn: true when the call must fail (errno is set).
  bool strikes(Call call);
  NodePtr find(const std::string& path) const;
  // The folder that holds the last part of `path`, and that part.
  NodePtr parent_of(const std::string& path, std::string& name) const;
  int add(const NodePtr& node);
  static void forget_unsynced(Node& node);
  static void sync_tree(Node& node);

  NodePtr root_;
  std::map<int, Open> open_;
  int next_descriptor_ = 1000;
  int next_name_ = 0;
  uint64_t free_space_ = uint64_t{1} << 40;
  int64_t calls_ = 0, fail_at_ = -1;
  Fault fault_ = Fault::none;
  bool dead_ = false, fail_next_write_ = false;
};

}  // namespace sfumato::testing
