// Attention (Vaswani et al. 2017): softmax(scale q k^T) v, for sequences and for images.
//
//   Variable y = scaled_dot_product_attention(q, k, v);          // (..., L, D)
//   Variable h = attention_channels_first(q, k, v, /*heads=*/4);   // (N, C, L): an image with its pixels in a row
#pragma once

#include "autograd/variable.h"

namespace sfumato {

struct AttentionOptions {
  // Broadcasts to (..., L, S): bool, true where a query may see a key, or numbers that are added to the scores.
  Variable attn_mask = {};
  bool is_causal = false;  // query i sees keys 0..i; not together with a mask
  double scale = 0;        // 0 means 1 / sqrt(D)
};

// q (..., L, D), k (..., S, D), v (..., S, E): (..., L, E). A query that a bool mask lets see nothing gives 0.
Variable scaled_dot_product_attention(const Variable& q,
                                      const Variable& k,
                                      const Variable& v,
                                      const AttentionOptions& options = {});
inline Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v, double scale) {
  return scaled_dot_product_attention(q, k, v, AttentionOptions{.scale = scale});
}

// q (N, C, L), k and v (N, C, S), C split into `heads` neighbouring parts of D channels: (N, C, L). The scores are
// sum_c q[c, i] k[c, j] / sqrt(D); nothing is transposed in memory. Throws unless heads divides C.
Variable attention_channels_first(const Variable& q, const Variable& k, const Variable& v, int64_t heads);

}  // namespace sfumato
