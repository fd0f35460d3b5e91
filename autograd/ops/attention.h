// Attention (Vaswani et al. 2017): softmax(scale q k^T) v, for sequences and for images.
//
//   Variable y = scaled_dot_product_attention(q, k, v);          // (..., L, D)
//   Variable h = attention_channels_first(q, k, v, /*heads=*/4);   // (N, C, L): an image with its pixels in a row
#pragma once

#include "autograd/variable.h"

namespace sfumato {

// q (..., L, D), k (..., S, D), v (..., S, E): (..., L, E). scale 0 means 1 / sqrt(D).
Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v, double scale = 0);

// q (N, C, L), k and v (N, C, S), C split into `heads` neighbouring parts of D channels: (N, C, L). The scores are
// sum_c q[c, i] k[c, j] / sqrt(D); nothing is transposed in memory. Throws unless heads divides C.
Variable attention_channels_first(const Variable& q, const Variable& k, const Variable& v, int64_t heads);

}  // namespace sfumato
