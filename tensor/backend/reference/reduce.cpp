// Reductions as nested loops over the kept and the reduced dimensions, accumulating in f64.
#include <limits>

#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::reference {
namespace {

// Sizes and strides of the dimensions with (or without) their bit set in the mask.
struct Loop {
  Shape sizes;
  Strides strides;

  Loop(const Tensor& x, uint32_t mask, bool reduced) {
    for (int d = 0; d < x.dim(); ++d) {
      if (((mask >> d & 1u) != 0) == reduced) {
        sizes.push_back(x.shape()[d]);
        strides.push_back(x.strides()[d]);
      }
    }
  }

  // The element offset of the i-th combination, the last dimension fastest.
  int64_t offset(int64_t i) const {
    int64_t offset = 0;
    for (int d = sizes.rank() - 1; d >= 0; --d) {
      offset += i % sizes[d] * strides[d];
      i /= sizes[d];
    }
    return offset;
  }
};

template <class T>
double combine(ReduceOp op, double total, T value) {
  const auto v = static_cast<double>(value);
  switch (op) {
    case ReduceOp::sum: return total + v;
    case ReduceOp::max: return v > total || v != v ? v : total;
    case ReduceOp::min: return v < total || v != v ? v : total;
  }
  return total;
}

double initial(ReduceOp op) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return op == ReduceOp::sum ? 0 : op == ReduceOp::max ? -infinity : infinity;
}

}  // namespace

void reduce(ReduceOp op, const Tensor& x, uint32_t mask, Tensor& out) {
  const Loop kept(x, mask, false);
  const Loop reduced(x, mask, true);
  const int64_t count = reduced.sizes.numel();
  dispatch<kReals>("reduce", x.dtype(), [&]<class T>() {
    const T* in = x.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(out.numel(), std::max<int64_t>(1, 4096 / std::max<int64_t>(count, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t o = begin; o < end; ++o) {
                     const T* base = in + kept.offset(o);
                     double total = initial(op);
                     for (int64_t r = 0; r < count; ++r) {
                       total = combine(op, total, base[reduced.offset(r)]);
                     }
                     to[o] = static_cast<T>(total);
                   }
                 });
  });
}

}  // namespace sfumato::reference
