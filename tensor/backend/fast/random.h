// Philox4x32-10 for many blocks at once, one variant per instruction set (see isa.h); used by tensor/random.cpp.
//
//   fast::philox_words({.key = k, .sample = n, .step = s, .draw = d}, /*first_block=*/0, /*blocks=*/16, words);
//
// The words are Random123's: only the order of evaluation differs, and integers do not mind.
#pragma once

#include <cstdint>

#include "tensor/backend/fast/isa.h"

namespace sfumato::fast {

// What stays fixed over the blocks of one row: the counter is (block, sample, step, draw).
struct PhiloxRow {
  uint64_t key = 0;
  uint32_t sample = 0;
  uint32_t step = 0;
  uint32_t draw = 0;
};

#define SFUMATO_RANDOM_KERNELS                                                                                    \
  /* The 4 * blocks words of blocks first_block, first_block + 1, ... */                                          \
  void philox_words(const PhiloxRow& row, uint32_t first_block, int64_t blocks, uint32_t* out);                   \
  /* out[i] = word i < threshold ? 0 : scale * x[i] for the `count` words from first_block on. */                 \
  void philox_dropout(const PhiloxRow& row, uint32_t first_block, int64_t count, uint32_t threshold, float scale, \
                      const float* x, float* out);

// Those of the best instruction set, and each set's own.
SFUMATO_RANDOM_KERNELS
namespace avx512 {
SFUMATO_RANDOM_KERNELS
}
namespace avx2 {
SFUMATO_RANDOM_KERNELS
}
namespace baseline {
SFUMATO_RANDOM_KERNELS
}
#undef SFUMATO_RANDOM_KERNELS

}  // namespace sfumato::fast
