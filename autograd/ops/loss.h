// Losses, as compositions of recorded ops. Inputs and targets broadcast; names, weights and reductions are PyTorch's.
//
//   Variable loss = mse_loss(unet(x_t, t), noise);
//   Variable rare = cross_entropy(logits, labels, {.weight = class_weights, .label_smoothing = 0.1});
//
// Dtypes f32, f64 and bf16, which may meet: two of them promote. bf16 alone is computed in f32 and rounded once.
#pragma once

#include "autograd/variable.h"

namespace sfumato {

enum class Reduction { none, mean, sum };

// (input - target)^2
Variable mse_loss(const Variable& input, const Variable& target, Reduction reduction = Reduction::mean);
// |input - target|
Variable l1_loss(const Variable& input, const Variable& target, Reduction reduction = Reduction::mean);
// |d| - beta/2 where |d| >= beta, else d^2 / (2 beta). Throws for a negative beta; 0 is the L1 loss.
Variable smooth_l1_loss(const Variable& input,
                        const Variable& target,
                        double beta = 1.0,
                        Reduction reduction = Reduction::mean);
// delta times smooth_l1_loss. Throws unless delta > 0.
Variable huber_loss(const Variable& input,
                    const Variable& target,
                    double delta = 1.0,
                    Reduction reduction = Reduction::mean);

// ---- classes ----

struct NllOptions {
  Tensor weight = {};                     // of each class, undefined: ones
  int64_t ignore_index = -100;            // targets of this class count nothing
  Reduction reduction = Reduction::mean;  // the mean divides by the sum of the targets' weights
};
struct CrossEntropyOptions {
  Tensor weight = {};
  int64_t ignore_index = -100;
  double label_smoothing = 0;  // this share of the target is spread evenly over all classes
  Reduction reduction = Reduction::mean;
};

// -log softmax(input)[target]: input (N, classes, ...) or (classes), target i64 or i32 (N, ...) or (). A floating
// target of the input's shape holds probabilities of the classes; then the mean divides by N * ...
Variable cross_entropy(const Variable& input, const Variable& target, const CrossEntropyOptions& options = {});
inline Variable cross_entropy(const Variable& input, const Variable& target, Reduction reduction) {
  return cross_entropy(input, target, CrossEntropyOptions{.reduction = reduction});
}
// The same when the input holds logarithms of probabilities already.
Variable nll_loss(const Variable& input, const Tensor& target, const NllOptions& options = {});

// ---- probabilities ----

// -(t log p + (1 - t) log(1 - p)), logarithms of 0 counting as -100. `weight` broadcasts; undefined: ones.
Variable binary_cross_entropy(const Variable& input,
                              const Variable& target,
                              const Tensor& weight = {},
                              Reduction reduction = Reduction::mean);
// The same with p = sigmoid(input), without overflow. `pos_weight` multiplies the first term.
Variable binary_cross_entropy_with_logits(const Variable& input,
                                          const Variable& target,
                                          const Tensor& weight = {},
                                          const Tensor& pos_weight = {},
                                          Reduction reduction = Reduction::mean);

enum class KlReduction { none, mean, sum, batchmean };  // batchmean: the sum divided by the first dimension's size
// target * (log target - input), the input being logarithms; with log_target the target is one too.
Variable kl_div(const Variable& input,
                const Variable& target,
                KlReduction reduction = KlReduction::mean,
                bool log_target = false);

// (log v + (input - target)^2 / v) / 2 with v = max(var, eps); `full` adds log(2 pi) / 2.
struct GaussianNllOptions {
  bool full = false;
  double eps = 1e-6;
  Reduction reduction = Reduction::mean;
};
Variable gaussian_nll_loss(const Variable& input,
                           const Variable& target,
                           const Variable& var,
                           const GaussianNllOptions& options = {});

// a . b / (max(|a|, eps) max(|b|, eps)) along `dim`.
Variable cosine_similarity(const Variable& a, const Variable& b, int64_t dim = 1, double eps = 1e-8);

}  // namespace sfumato
