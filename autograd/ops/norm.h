// Normalisations, softmax and their relatives on Variables. Names and meanings are PyTorch's.
//
//   Variable h = group_norm(x, weight, bias, {.num_groups = 32, .eps = 1e-6, .silu = true});
//   Variable p = softmax(logits, -1);
//
// Every norm computes (x - mean) / sqrt(var + eps) * weight + bias with the biased variance; they differ in what the
// mean and the variance run over. `weight` and `bias` may be undefined (ones, zeros).
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/norm.h"

namespace sfumato {

// Over each sample's channels in groups (Wu & He 2018): x (N, C, ...), weight and bias (C). With options.silu the
// result is followed by SiLU in the same pass. Throws unless num_groups divides C.
Variable group_norm(const Variable& x, const Variable& weight, const Variable& bias, const GroupNormOptions& options);

// Over the last dimensions, whose sizes are `normalized_shape`; weight and bias have that shape (Ba et al. 2016).
Variable layer_norm(const Variable& x,
                    const Shape& normalized_shape,
                    const Variable& weight = {},
                    const Variable& bias = {},
                    double eps = 1e-5);

// x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang & Sennrich 2019).
Variable rms_norm(const Variable& x, const Shape& normalized_shape, const Variable& weight = {}, double eps = 1e-6);

// Over the batch and all positions of each channel, with the statistics of this very batch (training mode; Ioffe &
// Szegedy 2015): x (N, C, ...), weight and bias (C).
Variable batch_norm(const Variable& x, const Variable& weight = {}, const Variable& bias = {}, double eps = 1e-5);

// exp(x) / sum(exp(x)) along `dim`, and its logarithm, both without overflow.
Variable softmax(const Variable& x, int64_t dim);
Variable log_softmax(const Variable& x, int64_t dim);
// log(sum(exp(x))) over `dim` (all when empty), without overflow.
Variable logsumexp(const Variable& x, const Dims& dim = {}, bool keepdim = false);

// Sum of squared deviations from the mean, divided by count - correction (1: unbiased, 0: biased).
Variable var(const Variable& x, const Dims& dim = {}, int64_t correction = 1, bool keepdim = false);

}  // namespace sfumato
