// In-place updates of parameters: one pass over flat f32 buffers. These are the only ops that write into their inputs.
//
//   adam_(parameters, gradients, first_moment, second_moment, {.lr = 2e-4, .step = 1});
#pragma once

#include <vector>

#include "tensor/tensor.h"

namespace sfumato {

struct SgdOptions {
  double lr = 1e-3, momentum = 0, weight_decay = 0, grad_scale = 1;
  bool nesterov = false;
  int64_t step = 1;  // counts from 1; the first step initialises the momentum buffer
};
struct AdamOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, grad_scale = 1;
  bool decoupled = false;  // AdamW (Loshchilov & Hutter 2019): decay the weights themselves
  int64_t step = 1;        // counts from 1, for the bias correction
};

// PyTorch's formulas. All tensors are contiguous, f32, of one size; gradients are multiplied by grad_scale first (the
// clipping factor). `momentum` may be undefined when options.momentum is 0.
void sgd_(Tensor& parameters, const Tensor& gradients, Tensor& momentum, const SgdOptions& options);
void adam_(
    Tensor& parameters, const Tensor& gradients, Tensor& exp_avg, Tensor& exp_avg_sq, const AdamOptions& options);

// a += weight * (b - a): the exponential moving average with decay 1 - weight.
void lerp_(Tensor& a, const Tensor& b, double weight);
// a += b; a *= factor.
void add_(Tensor& a, const Tensor& b);
void scale_(Tensor& a, double factor);

// The sum of squares in f64: per chunk of kSquaresChunk elements, then over a fixed binary tree of the chunks.
double sum_of_squares(const Tensor& x);
// Its two halves, for a buffer whose chunks are in several places.
inline constexpr int64_t kSquaresChunk = 65536;
std::vector<double> squares_of_chunks(const Tensor& x);
double sum_over_tree(std::vector<double> sums);

}  // namespace sfumato
