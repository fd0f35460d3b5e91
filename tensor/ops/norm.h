// Group normalisation (Wu & He 2018), softmax, and their gradients; the other norms are compositions
// ("autograd/ops/norm.h"). Declared for f32, f64 and bf16; bf16 is computed in f32.
//
//   GroupNormResult r = group_norm(x, weight, bias, {.num_groups = 32, .eps = 1e-6, .silu = true});
//
// Each sample's channels are split into num_groups groups; a group is shifted and scaled to mean 0 and variance 1
// (biased, eps added inside the root), then each channel is scaled by weight and shifted by bias (both (C) or
// undefined).
#pragma once

#include "tensor/backend/backend.h"

namespace sfumato {

struct GroupNormResult {
  Tensor out;   // x's shape
  Tensor mean;  // (N, num_groups); f32 where x is bf16
  Tensor rstd;  // the same: 1 / sqrt(var + eps)
};
struct GroupNormGradients {
  Tensor dx, dweight, dbias;  // the last two undefined where weight or bias is
};

// Throws unless x has at least 2 dimensions, num_groups divides its channels, and all dtypes are one.
GroupNormResult group_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const GroupNormOptions& options);
GroupNormGradients group_norm_backward(const Tensor& dy,
                                       const Tensor& x,
                                       const Tensor& mean,
                                       const Tensor& rstd,
                                       const Tensor& weight,
                                       const Tensor& bias,
                                       const GroupNormOptions& options);

// Along one dimension: exp(x - max) / sum. The gradient takes the result y.
Tensor softmax(const Tensor& x, int64_t dim);
Tensor softmax_backward(const Tensor& y, const Tensor& dy, int64_t dim);
// The logarithm of softmax, and log(sum(exp(x))) over `dim` (all when empty), both without overflow.
Tensor log_softmax(const Tensor& x, int64_t dim);
Tensor logsumexp(const Tensor& x, const Dims& dim = {}, bool keepdim = false);

}  // namespace sfumato
