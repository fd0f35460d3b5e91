// Vectorised Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"); see random.h.
//
// One round maps (c0, c1, c2, c3) to (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)). Each block lives
// in one 64-bit lane, a word in its lower half: the product of two such lanes is the 64 bits that a round wants, its
// upper half is one shift away, and its lower half needs no extraction, because the multiplier ignores upper halves.
#include <immintrin.h>

#include "tensor/backend/fast/random.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

constexpr int kBlocks = kLanes / 2;  // blocks per vector
constexpr int kWords = 4 * kBlocks;  // words that they give: two vectors of kLanes
using Wide = uint64_t __attribute__((vector_size(4 * SFUMATO_LANES)));
using Words = uint32_t __attribute__((vector_size(4 * SFUMATO_LANES)));
using Floats = float __attribute__((vector_size(4 * SFUMATO_LANES)));
using UnalignedFloats = float __attribute__((vector_size(4 * SFUMATO_LANES), aligned(4), may_alias));
using UnalignedWords = uint32_t __attribute__((vector_size(4 * SFUMATO_LANES), aligned(4), may_alias));

// Lanewise product of the lower halves. (Written as a * b on masked lanes, gcc 12 takes the slow 64-bit multiplier.)
inline Wide multiply_low_halves(Wide a, Wide b) {
#if SFUMATO_LANES == 16
  // The form with a (full) mask: the plain one makes gcc 12 warn of an uninitialised value in its own header.
  return reinterpret_cast<Wide>(
      _mm512_maskz_mul_epu32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif SFUMATO_LANES == 8
  return reinterpret_cast<Wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return reinterpret_cast<Wide>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#endif
}

inline Wide broadcast(uint32_t value) { return Wide{} + value; }

// (a0 b0 a1 b1 ...) of the lower and of the upper lanes.
inline void interleave(Wide a, Wide b, Wide& first, Wide& second) {
#if SFUMATO_LANES == 16
  first = __builtin_shuffle(a, b, Wide{0, 8, 1, 9, 2, 10, 3, 11});
  second = __builtin_shuffle(a, b, Wide{4, 12, 5, 13, 6, 14, 7, 15});
#elif SFUMATO_LANES == 8
  first = __builtin_shuffle(a, b, Wide{0, 4, 1, 5});
  second = __builtin_shuffle(a, b, Wide{2, 6, 3, 7});
#else
  first = __builtin_shuffle(a, b, Wide{0, 2});
  second = __builtin_shuffle(a, b, Wide{1, 3});
#endif
}

struct Philox {
  static constexpr uint32_t kM0 = 0xD2511F53u, kM1 = 0xCD9E8D57u, kW0 = 0x9E3779B9u, kW1 = 0xBB67AE85u;
  Wide sample, step, draw;
  Wide key0[10], key1[10];
  Wide lanes;

  explicit Philox(const PhiloxRow& row)
      : sample(broadcast(row.sample)), step(broadcast(row.step)), draw(broadcast(row.draw)) {
    auto k0 = static_cast<uint32_t>(row.key);
    auto k1 = static_cast<uint32_t>(row.key >> 32);
    for (int round = 0; round < 10; ++round, k0 += kW0, k1 += kW1) {
      key0[round] = broadcast(k0);
      key1[round] = broadcast(k1);
    }
    for (int i = 0; i < kBlocks; ++i) {
      lanes[i] = static_cast<uint64_t>(i);
    }
  }

  // The words of kBlocks blocks in order.
  inline void generate(uint32_t first_block, Words& first, Words& second) const {
    Wide c0 = lanes + first_block, c1 = sample, c2 = step, c3 = draw;
    for (int round = 0; round < 10; ++round) {
      const Wide p0 = multiply_low_halves(c0, broadcast(kM0));
      const Wide p1 = multiply_low_halves(c2, broadcast(kM1));
      c0 = (p1 >> 32) ^ c1 ^ key0[round];
      c1 = p1;
      c2 = (p0 >> 32) ^ c3 ^ key1[round];
      c3 = p0;
    }
    const Wide low = broadcast(0xffffffffu);
    Wide a, b;
    interleave((c0 & low) | (c1 << 32), (c2 & low) | (c3 << 32), a, b);
    first = reinterpret_cast<Words>(a);
    second = reinterpret_cast<Words>(b);
  }
};

inline Floats drop(Words words, Words threshold, Floats scale, Floats x) {
  return words < threshold ? Floats{} : x * scale;
}

}  // namespace

void philox_words(const PhiloxRow& row, uint32_t first_block, int64_t blocks, uint32_t* out) {
  const Philox philox(row);
  Words first, second;
  int64_t block = 0;
  for (; block + kBlocks <= blocks; block += kBlocks) {
    philox.generate(first_block + static_cast<uint32_t>(block), first, second);
    *reinterpret_cast<UnalignedWords*>(out + 4 * block) = first;
    *reinterpret_cast<UnalignedWords*>(out + 4 * block + kLanes) = second;
  }
  if (block < blocks) {
    uint32_t rest[kWords];
    philox.generate(first_block + static_cast<uint32_t>(block), first, second);
    *reinterpret_cast<UnalignedWords*>(rest) = first;
    *reinterpret_cast<UnalignedWords*>(rest + kLanes) = second;
    for (int64_t i = 0; i < 4 * (blocks - block); ++i) {
      out[4 * block + i] = rest[i];
    }
  }
}

void philox_dropout(const PhiloxRow& row,
                    uint32_t first_block,
                    int64_t count,
                    uint32_t threshold,
                    float scale,
                    const float* x,
                    float* out) {
  const Philox philox(row);
  const Words limit = Words{} + threshold;
  const Floats factor = Floats{} + scale;
  Words first, second;
  int64_t i = 0;
  for (; i + kWords <= count; i += kWords) {
    philox.generate(first_block + static_cast<uint32_t>(i / 4), first, second);
    const Floats a = *reinterpret_cast<const UnalignedFloats*>(x + i);
    const Floats b = *reinterpret_cast<const UnalignedFloats*>(x + i + kLanes);
    *reinterpret_cast<UnalignedFloats*>(out + i) = drop(first, limit, factor, a);
    *reinterpret_cast<UnalignedFloats*>(out + i + kLanes) = drop(second, limit, factor, b);
  }
  if (i < count) {
    uint32_t rest[kWords];
    philox.generate(first_block + static_cast<uint32_t>(i / 4), first, second);
    *reinterpret_cast<UnalignedWords*>(rest) = first;
    *reinterpret_cast<UnalignedWords*>(rest + kLanes) = second;
    for (int k = 0; i < count; ++i, ++k) {
      out[i] = rest[k] < threshold ? 0.0f : x[i] * scale;
    }
  }
}

}  // namespace sfumato::fast::SFUMATO_ISA
