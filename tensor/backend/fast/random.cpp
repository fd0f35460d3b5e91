#include "tensor/backend/fast/random.h"

namespace sfumato::fast {

void philox_words(const PhiloxRow& row, uint32_t first_block, int64_t blocks, uint32_t* out) {
  switch (isa()) {
    case Isa::avx512: return avx512::philox_words(row, first_block, blocks, out);
    case Isa::avx2: return avx2::philox_words(row, first_block, blocks, out);
    case Isa::baseline: return baseline::philox_words(row, first_block, blocks, out);
  }
}

void philox_dropout(const PhiloxRow& row,
                    uint32_t first_block,
                    int64_t count,
                    uint32_t threshold,
                    float scale,
                    const float* x,
                    float* out) {
  switch (isa()) {
    case Isa::avx512: return avx512::philox_dropout(row, first_block, count, threshold, scale, x, out);
    case Isa::avx2: return avx2::philox_dropout(row, first_block, count, threshold, scale, x, out);
    case Isa::baseline: return baseline::philox_dropout(row, first_block, count, threshold, scale, x, out);
  }
}

}  // namespace sfumato::fast
