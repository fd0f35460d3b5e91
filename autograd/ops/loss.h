// Losses, as compositions of recorded ops. Inputs and targets broadcast; `reduction` is PyTorch's.
//
//   Variable loss = mse_loss(unet(x_t, t), noise);
#pragma once

#include "autograd/variable.h"

namespace sfumato {

enum class Reduction { none, mean, sum };

// (input - target)^2
Variable mse_loss(const Variable& input, const Variable& target, Reduction reduction = Reduction::mean);
// |d| - beta/2 where |d| >= beta, else d^2 / (2 beta). Throws unless beta > 0.
Variable smooth_l1_loss(const Variable& input,
                        const Variable& target,
                        double beta = 1.0,
                        Reduction reduction = Reduction::mean);
// -log softmax(input)[target]: input (N, classes, ...), target i64 or i32 (N, ...).
Variable cross_entropy(const Variable& input, const Tensor& target, Reduction reduction = Reduction::mean);

}  // namespace sfumato
