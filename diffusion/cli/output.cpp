#include "diffusion/cli/output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "diffusion/train/run_directory.h"

namespace sfumato::cli {

void require_writable_folder(const std::string& out) {
  const std::filesystem::path parent = std::filesystem::path(out).parent_path();
  if (access(parent.empty() ? "." : parent.c_str(), W_OK) != 0) {
    throw CannotCreate(fmt::format("cannot write {}: {}", out, std::strerror(errno)));
  }
  constexpr size_t kLongestName = 255;  // bytes, on the file systems of Linux
  if (std::filesystem::path(out).filename().native().size() > kLongestName) {
    throw CannotCreate(fmt::format("cannot write {}: {}", out, std::strerror(ENAMETOOLONG)));
  }
  if (std::filesystem::is_directory(out)) {
    throw CannotCreate(fmt::format("cannot write {}: it is a folder", out));
  }
}

std::function<std::string(const std::string&)> ends_in(std::vector<std::string> endings) {
  return [endings = std::move(endings)](const std::string& path) {
    const bool good =
        std::any_of(endings.begin(), endings.end(), [&](const std::string& ending) { return path.ends_with(ending); });
    return good ? std::string() : fmt::format("must end in {}: {}", fmt::join(endings, " or "), path);
  };
}

}  // namespace sfumato::cli
