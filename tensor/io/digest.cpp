#include "tensor/io/digest.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <new>
#include <vector>

#include "tensor/io/file.h"

namespace sfumato {

struct Digester::State {
  XXH3_state_t* hash = XXH3_createState();
  uint64_t bytes = 0;
  State() {
    if (hash == nullptr) {
      throw std::bad_alloc();
    }
    XXH3_128bits_reset(hash);
  }
  ~State() { XXH3_freeState(hash); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

Digester::Digester() : state_(std::make_unique<State>()) {}
Digester::~Digester() = default;

void Digester::update(const void* data, size_t bytes) {
  XXH3_128bits_update(state_->hash, data, bytes);
  state_->bytes += bytes;
}

FileDigest Digester::digest() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(state_->hash);
  return {state_->bytes, fmt::format("{:016x}{:016x}", hash.high64, hash.low64)};
}

FileDigest digest_of_file(const std::filesystem::path& path) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  const InputFile file(path);
  std::vector<char> piece(static_cast<size_t>(std::min(kPiece, file.size())));
  Digester digester;
  for (int64_t at = 0; at < file.size(); at += kPiece) {
    const auto count = static_cast<size_t>(std::min(kPiece, file.size() - at));
    file.read_at(at, piece.data(), count);
    digester.update(piece.data(), count);
  }
  return digester.digest();
}

}  // namespace sfumato
