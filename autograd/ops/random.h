// Dropout (Srivastava et al. 2014) on Variables.
//
//   Variable y = dropout(x, 0.1, RandomStream::of("dropout", "mid.resnets.0"));
//
// The stream fixes the mask, so that recomputing a forward pass or splitting a batch drops the same elements.
#pragma once

#include "autograd/variable.h"
#include "tensor/random.h"

namespace sfumato {

// Zeroes each element with probability p and scales the rest by 1 / (1 - p). Linear in x for a given stream, so the
// gradient is the same op on the gradient. With p = 0 this is x. Throws unless 0 <= p < 1.
Variable dropout(const Variable& x, double p, const RandomStream& stream);

}  // namespace sfumato
