#include "tensor/backend/fast/isa.h"

#include <cstdlib>
#include <string_view>

#include "tensor/check.h"

namespace sfumato::fast {
namespace {

Isa best_of_this_cpu() {
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return Isa::avx512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Isa::avx2 : Isa::baseline;
}

Isa choose() {
  const Isa best = best_of_this_cpu();
  const char* text = std::getenv("SFUMATO_ISA");
  const std::string_view wanted = text != nullptr ? text : "";
  if (wanted.empty()) {
    return best;
  }
  for (const Isa candidate : {Isa::baseline, Isa::avx2, Isa::avx512}) {
    if (wanted == name_of(candidate)) {
      check(candidate <= best, "SFUMATO_ISA: this CPU has no ", wanted, " (its best is ", name_of(best), ")");
      return candidate;
    }
  }
  detail::fail("SFUMATO_ISA: expected baseline, avx2 or avx512, got '", wanted, "'");
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::baseline: return "baseline";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  return "?";
}

}  // namespace sfumato::fast
