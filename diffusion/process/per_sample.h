// One number per sample of a batch, from the sample's timestep.
//
//   Tensor a = per_sample("q_sample", t, x0, [&](int64_t i) { return schedule.level(i).signal; });   // (N, 1, 1, 1)
//   Tensor scaled = x0 * a;
#pragma once

#include <string_view>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace sfumato {

// A tensor (N, 1, ..., 1) of x's rank and dtype that holds f(t[n]) for each sample n. t is (N), i64 or i32; x is
// (N, ...). f returns a double and checks its argument's upper end itself. Errors name `op`.
template <class F>
Tensor per_sample(std::string_view op, const Tensor& t, const Tensor& x, F&& f) {
  check(x.dim() >= 1 && t.dim() == 1 && t.size(0) == x.size(0), op,
        ": timesteps must be one index per sample of a batch of shape ", x.shape(), ", got shape ", t.shape());
  std::vector<double> values;
  const Tensor indices = t.contiguous();
  dispatch<kIndices>(op, t.dtype(), [&]<class T>() {
    for (int64_t n = 0; n < indices.numel(); ++n) {
      const int64_t index = indices.template data<T>()[n];
      check(index >= 0, op, ": a timestep must not be negative, got ", index);
      values.push_back(f(index));
    }
  });
  Shape shape = Shape::filled(x.dim(), 1);
  shape[0] = t.size(0);
  return tensor_of(values, shape, x.dtype());
}

}  // namespace sfumato
