#include "tests/io/memory_disk.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>

namespace sfumato::testing {
namespace {

int failed(int error) {
  errno = error;
  return -1;
}

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::istringstream stream(path);
  for (std::string part; std::getline(stream, part, '/');) {
    if (!part.empty() && part != ".") parts.push_back(part);
  }
  return parts;
}

}  // namespace

const char* name_of(Fault fault) {
  constexpr const char* names[] = {"none", "kill", "power cut", "no space", "io error", "short write", "failed fsync"};
  return names[static_cast<int>(fault)];
}

MemoryDisk::MemoryDisk() : root_(std::make_shared<Node>()) { root_->folder = true; }

void MemoryDisk::fail_at(int64_t call, Fault fault) {
  calls_ = 0;
  fail_at_ = call;
  fault_ = fault;
  fail_next_write_ = false;
}

bool MemoryDisk::strikes(Call call) {
  if (dead_) {  // destructors on the way out: a process that is gone does nothing
    errno = EIO;
    return true;
  }
  const bool turn = calls_++ == fail_at_;
  if (fail_next_write_ && call == Call::writes) {
    fail_next_write_ = false;
    errno = ENOSPC;
    return true;
  }
  if (!turn) return false;
  switch (fault_) {
    case Fault::none: return false;
    case Fault::kill:
    case Fault::power_cut: dead_ = true; throw Stopped{};
    case Fault::no_space: return failed(ENOSPC) != 0;
    case Fault::io_error: return failed(EIO) != 0;
    case Fault::short_write: fail_next_write_ = call == Call::writes; return false;
    case Fault::failed_fsync: return call == Call::syncs && failed(EIO) != 0;
  }
  return false;
}

void MemoryDisk::reboot() {
  if (fault_ == Fault::power_cut && dead_) forget_unsynced(*root_);
  dead_ = false;
  open_.clear();
  fail_at(-1, Fault::none);
}

void MemoryDisk::forget_unsynced(Node& node) {
  node.bytes = node.bytes_on_disk;
  node.names = node.names_on_disk;
  for (auto& [name, child] : node.names) forget_unsynced(*child);
}

void MemoryDisk::sync_tree(Node& node) {
  node.bytes_on_disk = node.bytes;
  node.names_on_disk = node.names;
  for (auto& [name, child] : node.names) sync_tree(*child);
}

void MemoryDisk::sync_all() { sync_tree(*root_); }

MemoryDisk::NodePtr MemoryDisk::find(const std::string& path) const {
  NodePtr node = root_;
  for (const std::string& part : parts_of(path)) {
    if (!node->folder || node->names.count(part) == 0) return nullptr;
    node = node->names.at(part);
  }
  return node;
}

MemoryDisk::NodePtr MemoryDisk::parent_of(const std::string& path, std::string& name) const {
  const auto parts = parts_of(path);
  if (parts.empty()) return nullptr;
  name = parts.back();
  std::string parent;
  for (size_t i = 0; i + 1 < parts.size(); ++i) parent += "/" + parts[i];
  const NodePtr node = find(parent);
  return node != nullptr && node->folder ? node : nullptr;
}

int MemoryDisk::add(const NodePtr& node) {
  open_[next_descriptor_] = {node};
  return next_descriptor_++;
}

int MemoryDisk::open(const char* path, int flags, mode_t) {
  if (strikes(Call::other)) return -1;
  const NodePtr node = find(path);
  if (node == nullptr) return failed(ENOENT);
  if ((flags & O_DIRECTORY) != 0 && !node->folder) return failed(ENOTDIR);
  return add(node);
}

int MemoryDisk::make_temporary(char* name) {
  if (strikes(Call::other)) return -1;
  char* place = name + std::strlen(name) - 6;
  std::snprintf(place, 7, "%06d", next_name_++);
  std::string last;
  const NodePtr parent = parent_of(name, last);
  if (parent == nullptr) return failed(ENOENT);
  return add(parent->names[last] = std::make_shared<Node>());
}

// Called from destructors, so it never throws: a process that ends here finds out at its next call.
int MemoryDisk::close(int descriptor) {
  open_.erase(descriptor);
  try {
    return strikes(Call::other) ? -1 : 0;
  } catch (const Stopped&) {
    return failed(EIO);
  }
}

ssize_t MemoryDisk::pread(int descriptor, void* out, size_t bytes, off_t offset) {
  if (strikes(Call::other)) return -1;
  const Node& node = *open_.at(descriptor).node;
  if (node.folder) return failed(EISDIR);
  const auto at = std::min(static_cast<size_t>(offset), node.bytes.size());
  const size_t count = std::min(bytes, node.bytes.size() - at);
  std::memcpy(out, node.bytes.data() + at, count);
  return static_cast<ssize_t>(count);
}

ssize_t MemoryDisk::read(int descriptor, void* out, size_t bytes) {
  const ssize_t count = pread(descriptor, out, bytes, static_cast<off_t>(open_.at(descriptor).at));
  if (count > 0) open_.at(descriptor).at += static_cast<size_t>(count);
  return count;
}

ssize_t MemoryDisk::write(int descriptor, const void* data, size_t bytes) {
  if (strikes(Call::writes)) return -1;
  const size_t count = fail_next_write_ && bytes > 1 ? bytes / 2 : bytes;
  open_.at(descriptor).node->bytes.append(static_cast<const char*>(data), count);
  return static_cast<ssize_t>(count);
}

int MemoryDisk::fsync(int descriptor) {
  const bool strikes_now = strikes(Call::syncs);
  Node& node = *open_.at(descriptor).node;
  if (strikes_now) {
    if (!dead_ && fault_ == Fault::failed_fsync) node.bytes = node.bytes_on_disk;
    return -1;
  }
  node.bytes_on_disk = node.bytes;
  node.names_on_disk = node.names;
  return 0;
}

int MemoryDisk::fchmod(int, mode_t) { return strikes(Call::other) ? -1 : 0; }

int MemoryDisk::fstat(int descriptor, FileStatus& status) {
  if (strikes(Call::other)) return -1;
  const Node& node = *open_.at(descriptor).node;
  status = {node.folder ? FileStatus::Kind::folder : FileStatus::Kind::file, static_cast<int64_t>(node.bytes.size())};
  return 0;
}

int MemoryDisk::stat(const char* path, FileStatus& status) {
  if (strikes(Call::other)) return -1;
  const NodePtr node = find(path);
  if (node == nullptr) return failed(ENOENT);
  status = {node->folder ? FileStatus::Kind::folder : FileStatus::Kind::file, static_cast<int64_t>(node->bytes.size())};
  return 0;
}

int MemoryDisk::mkdir(const char* path, mode_t) {
  if (strikes(Call::other)) return -1;
  if (find(path) != nullptr) return failed(EEXIST);
  std::string name;
  const NodePtr parent = parent_of(path, name);
  if (parent == nullptr) return failed(ENOENT);
  parent->names[name] = std::make_shared<Node>();
  parent->names[name]->folder = true;
  return 0;
}

int MemoryDisk::rename(const char* from, const char* to) {
  if (strikes(Call::other)) return -1;
  std::string old_name, new_name;
  const NodePtr source = parent_of(from, old_name), target = parent_of(to, new_name);
  const NodePtr node = find(from), replaced = find(to);
  if (node == nullptr || target == nullptr) return failed(ENOENT);
  if (replaced != nullptr && replaced->folder && !replaced->names.empty()) return failed(ENOTEMPTY);
  source->names.erase(old_name);
  target->names[new_name] = node;
  return 0;
}

int MemoryDisk::unlink(const char* path) {
  if (strikes(Call::other)) return -1;
  std::string name;
  const NodePtr parent = parent_of(path, name);
  if (parent == nullptr || parent->names.count(name) == 0) return failed(ENOENT);
  if (parent->names.at(name)->folder) return failed(EISDIR);
  parent->names.erase(name);
  return 0;
}

int MemoryDisk::rmdir(const char* path) {
  if (strikes(Call::other)) return -1;
  std::string name;
  const NodePtr parent = parent_of(path, name);
  if (parent == nullptr || parent->names.count(name) == 0) return failed(ENOENT);
  if (!parent->names.at(name)->names.empty()) return failed(ENOTEMPTY);
  parent->names.erase(name);
  return 0;
}

int MemoryDisk::list(const char* path, std::vector<std::string>& names) {
  if (strikes(Call::other)) return -1;
  const NodePtr node = find(path);
  if (node == nullptr) return failed(ENOENT);
  for (const auto& [name, child] : node->names) names.push_back(name);
  return 0;
}

int MemoryDisk::free_space(const char*, uint64_t& bytes) {
  if (strikes(Call::other)) return -1;
  bytes = free_space_;
  return 0;
}

}  // namespace sfumato::testing
