#include "tensor/backend/backend.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

namespace sfumato {
namespace {

constexpr int kNoScope = -1;
thread_local int scoped_backend = kNoScope;
std::atomic<uint64_t> fallbacks{0};

Backend backend_from_environment() {
  const char* text = std::getenv("SFUMATO_BACKEND");
  const std::string_view wanted = text != nullptr ? text : "";
  check(wanted.empty() || wanted == "fast" || wanted == "reference",
        "SFUMATO_BACKEND: expected 'reference' or 'fast', got '", wanted, "'");
  return wanted == "reference" || !fast_backend_available() ? Backend::reference : Backend::fast;
}

}  // namespace

bool fast_backend_available() {
#ifdef SFUMATO_FAST
  return true;
#else
  return false;
#endif
}

Backend backend() {
  static const Backend from_environment = backend_from_environment();
  return scoped_backend == kNoScope ? from_environment : static_cast<Backend>(scoped_backend);
}

BackendScope::BackendScope(Backend wanted) : previous_(scoped_backend) {
  check(wanted == Backend::reference || fast_backend_available(), "backend: this build has no fast kernels");
  scoped_backend = static_cast<int>(wanted);
}
BackendScope::~BackendScope() { scoped_backend = previous_; }

bool use_fast(DType dtype, DTypeSet kernels) {
  if (backend() == Backend::reference) {
    return false;
  }
  if (kernels.contains(dtype)) {
    return true;
  }
  fallbacks.fetch_add(1, std::memory_order_relaxed);
  return false;
}

uint64_t fallback_count() { return fallbacks.load(std::memory_order_relaxed); }
void reset_fallback_count() { fallbacks = 0; }

}  // namespace sfumato
