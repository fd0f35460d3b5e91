#include "autograd/ops/loss.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/view.h"

namespace sfumato {
namespace {

Variable reduce(const Variable& losses, Reduction reduction) {
  switch (reduction) {
    case Reduction::none: return losses;
    case Reduction::mean: return mean(losses);
    case Reduction::sum: return sum(losses);
  }
  return losses;
}

}  // namespace

Variable mse_loss(const Variable& input, const Variable& target, Reduction reduction) {
  return reduce(square(sub(input, target)), reduction);
}

Variable smooth_l1_loss(const Variable& input, const Variable& target, double beta, Reduction reduction) {
  check(beta > 0, "smooth_l1_loss: beta must be positive, got ", beta);
  const Variable difference = sub(input, target);
  const Variable distance = abs(difference);
  return reduce(where(lt(distance.tensor(), beta), mul(square(difference), 0.5 / beta), sub(distance, 0.5 * beta)),
                reduction);
}

Variable cross_entropy(const Variable& input, const Tensor& target, Reduction reduction) {
  check(input.dim() >= 2 && target.dim() == input.dim() - 1,
        "cross_entropy: input (N, classes, ...) and target (N, ...)"
        " expected, got ",
        input.shape(), " and ", target.shape());
  const Variable picked = gather(log_softmax(input, 1), 1, unsqueeze(target, 1));
  return reduce(neg(squeeze(picked, 1)), reduction);
}

}  // namespace sfumato
