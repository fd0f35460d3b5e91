// The fuzzer's dice: every input is a function of (seed, index), so that any of them can be made again alone.
//
//   Random random(seed, index);
//   size_t place = random.below(bytes.size());
//   if (random.chance(1, 8)) ...
#pragma once

#include <cstddef>
#include <cstdint>

namespace sfumato::fuzz {

// splitmix64 (Steele et al. 2014): a counter and a mixing function.
class Random {
 public:
  Random(uint64_t seed, uint64_t index) : state_(mix(seed ^ mix(index + 0x9e3779b97f4a7c15u))) {}

  uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15u); }
  // 0 .. n - 1; 0 for n = 0.
  size_t below(size_t n) { return n == 0 ? 0 : static_cast<size_t>(next() % n); }
  bool chance(size_t wanted, size_t of) { return below(of) < wanted; }
  template <class List>
  const auto& pick(const List& list) {
    return list[below(list.size())];
  }

 private:
  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  uint64_t state_;
};

}  // namespace sfumato::fuzz
