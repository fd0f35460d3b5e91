// Spread and length: variance, standard deviation, norms. `dim` and keepdim as in "tensor/ops/reduce.h".
//
//   Variable spread = sfumato::std(x, {0});
//   Variable unit = x / norm(x, 2, {-1}, /*keepdim=*/true);       // or normalize(x, 2, -1)
#pragma once

#include "autograd/variable.h"

namespace sfumato {

// Sum of squared deviations from the mean, divided by count - correction (1: unbiased, 0: biased), and its root. The
// root's gradient at 0 is taken to be 0. With `using namespace sfumato` the second is written sfumato::std(x).
Variable var(const Variable& x, const Dims& dim = {}, int64_t correction = 1, bool keepdim = false);
Variable std(const Variable& x, const Dims& dim = {}, int64_t correction = 1, bool keepdim = false);

// The p-norm (sum |x|^p)^(1/p) of the elements: for p = inf the largest |x|, for -inf the smallest, for 0 how many are
// not 0. The gradient where the norm is 0 is taken to be 0.
Variable norm(const Variable& x, double p = 2, const Dims& dim = {}, bool keepdim = false);

}  // namespace sfumato
