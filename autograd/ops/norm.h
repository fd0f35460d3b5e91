// Normalisations, softmax and their relatives on Variables. Names and meanings are PyTorch's.
//
//   Variable h = group_norm(x, weight, bias, {.num_groups = 32, .eps = 1e-6, .silu = true});
//   Variable p = softmax(logits, -1);
//
// Every norm computes (x - mean) / sqrt(var + eps) * weight + bias with the biased variance; they differ in what the
// mean and the variance run over. `weight` and `bias` may be undefined (ones, zeros) and have x's dtype. bf16 is
// computed in f32 and rounded once, forwards and backwards.
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

// Over the batch and all positions of each channel (Ioffe & Szegedy 2015): x (N, C, ...), weight and bias (C).
struct BatchNormOptions {
  bool training = false;
  double momentum = 0.1;  // how much of the batch's statistics enters the running ones
  double eps = 1e-5;
};
// training: with the statistics of this very batch, at least two values per channel; the running mean and (unbiased)
// variance (C) are then updated in place where they are defined. Otherwise with the running ones, as constants.
Variable batch_norm(const Variable& x,
                    const Tensor& running_mean,
                    const Tensor& running_var,
                    const Variable& weight = {},
                    const Variable& bias = {},
                    const BatchNormOptions& options = {});

// Over all positions of each channel of each sample (Ulyanov et al. 2016): x (N, C, ...) with at least two positions.
Variable instance_norm(const Variable& x, const Variable& weight = {}, const Variable& bias = {}, double eps = 1e-5);

// x / max(norm(x, p, dim), eps): lines of length 1.
Variable normalize(const Variable& x, double p = 2, int64_t dim = 1, double eps = 1e-12);

// exp(x) / sum(exp(x)) along `dim`, and its logarithm, both without overflow.
Variable softmax(const Variable& x, int64_t dim);
Variable log_softmax(const Variable& x, int64_t dim);
// log(sum(exp(x))) over `dim` (all when empty), without overflow.
Variable logsumexp(const Variable& x, const Dims& dim = {}, bool keepdim = false);

}  // namespace sfumato
