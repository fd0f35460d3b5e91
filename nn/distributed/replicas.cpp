#include "nn/distributed/replicas.h"

#include <algorithm>
#include <cstring>
#include <sstream>

#include "tensor/io/digest.h"

namespace sfumato {
namespace {

constexpr size_t kDigestLength = 32;

std::string digest_of(const Tensor& tensor) {
  const Tensor whole = tensor.contiguous();
  Digester digester;
  digester.update(whole.raw_data(), static_cast<size_t>(whole.numel()) * size_of(whole.dtype()));
  return digester.digest().xxh3_128;
}

std::string digest_of(const std::string& text) {
  Digester digester;
  digester.update(text.data(), text.size());
  return digester.digest().xxh3_128;
}

// Texts of one length, of each rank.
std::vector<std::string> all_gather_text(ProcessGroup& group, const std::string& mine) {
  std::string together(mine.size() * static_cast<size_t>(group.size()), '\0');
  group.all_gather(mine.data(), mine.size(), together.data());
  std::vector<std::string> all;
  for (size_t at = 0; at < together.size(); at += mine.size()) {
    all.push_back(together.substr(at, mine.size()));
  }
  return all;
}

// The value that most have; of equally many, the first.
const std::string& most_common(const std::vector<std::string>& all) {
  return *std::max_element(all.begin(), all.end(), [&](const std::string& a, const std::string& b) {
    return std::count(all.begin(), all.end(), a) < std::count(all.begin(), all.end(), b);
  });
}

// "rank 2" or "ranks 2, 5": those whose text is another one.
std::string ranks_unlike(const std::vector<std::string>& all, const std::string& wanted) {
  std::string list;
  int64_t found = 0;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] != wanted) {
      list += (list.empty() ? "" : ", ") + std::to_string(rank);
      ++found;
    }
  }
  return (found == 1 ? "rank " : "ranks ") + list;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

}  // namespace

void broadcast(ProcessGroup& group, std::string& text) {
  auto length = static_cast<int64_t>(text.size());
  group.broadcast(&length, sizeof(length));
  text.resize(static_cast<size_t>(length));
  group.broadcast(text.data(), text.size());
}

void broadcast(ProcessGroup& group, std::vector<double>& values, int root) {
  auto length = static_cast<int64_t>(values.size());
  group.broadcast(&length, sizeof(length), root);
  values.resize(static_cast<size_t>(length));
  group.broadcast(values.data(), values.size() * sizeof(double), root);
}

void broadcast(ProcessGroup& group, NamedTensors& tensors) {
  if (group.size() == 1) {
    return;
  }
  auto count = static_cast<int64_t>(tensors.size());
  group.broadcast(&count, sizeof(count));
  tensors.resize(static_cast<size_t>(count));
  for (auto& [name, tensor] : tensors) {
    broadcast(group, name);
    std::vector<int64_t> sizes;  // the dtype, the rank, the dimensions
    if (group.is_root()) {
      sizes = {static_cast<int64_t>(tensor.dtype()), tensor.dim()};
      for (int d = 0; d < tensor.dim(); ++d) {
        sizes.push_back(tensor.size(d));
      }
    }
    sizes.resize(2 + kMaxRank);
    group.broadcast(sizes.data(), sizes.size() * sizeof(int64_t));
    if (!group.is_root()) {
      tensor = Tensor::empty(Shape(std::span<const int64_t>(sizes).subspan(2, static_cast<size_t>(sizes[1]))),
                             static_cast<DType>(sizes[0]));
    }
    Tensor whole = tensor.contiguous();
    group.broadcast(whole.mutable_raw_data(), static_cast<size_t>(whole.numel()) * size_of(whole.dtype()));
  }
}

void check_replicas(ProcessGroup& group, const NamedTensors& tensors, std::string_view what) {
  if (group.size() == 1) {
    return;
  }
  std::string digests;
  for (const auto& [name, tensor] : tensors) {
    digests += digest_of(tensor);
  }
  const std::vector<std::string> overall = all_gather_text(group, digest_of(digests));
  if (std::all_of(overall.begin(), overall.end(), [&](const std::string& one) { return one == overall.front(); })) {
    return;
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto all = all_gather_text(group, digests.substr(i * kDigestLength, kDigestLength));
    if (const std::string& wanted = most_common(all); std::count(all.begin(), all.end(), wanted) != group.size()) {
      throw InternalError(
          fmt::format("{}: ranks differ, first in '{}', on {}", what, tensors[i].first, ranks_unlike(all, wanted)));
    }
  }
}

void check_same_text(ProcessGroup& group, const std::string& text) {
  std::string wanted = text;
  broadcast(group, wanted);
  const std::vector<char> same = all_gather(group, static_cast<char>(wanted == text));
  const auto unlike = std::find(same.begin(), same.end(), char{0});
  if (unlike == same.end()) {
    return;
  }
  const auto rank = static_cast<int>(unlike - same.begin());
  std::string theirs = text;
  auto length = static_cast<int64_t>(theirs.size());
  group.broadcast(&length, sizeof(length), rank);
  theirs.resize(static_cast<size_t>(length));
  group.broadcast(theirs.data(), theirs.size(), rank);
  const std::vector<std::string> a = lines_of(wanted), b = lines_of(theirs);
  size_t at = 0;
  while (at < a.size() && at < b.size() && a[at] == b[at]) {
    ++at;
  }
  throw LaunchError(fmt::format("ranks do not agree: rank 0 has '{}', rank {} has '{}'", at < a.size() ? a[at] : "",
                                rank, at < b.size() ? b[at] : ""));
}

}  // namespace sfumato
