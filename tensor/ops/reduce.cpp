#include "tensor/ops/reduce.h"

#include <limits>

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

uint32_t dim_mask(std::string_view op, const Dims& dims, int rank) {
  if (dims.rank() == 0) {
    return (1u << rank) - 1u;
  }
  uint32_t mask = 0;
  for (const int64_t dim : dims) {
    const uint32_t bit = 1u << normalize_dim(op, dim, rank);
    check((mask & bit) == 0, op, ": dim ", dim, " is listed twice in ", dims);
    mask |= bit;
  }
  return rank == 0 ? 0 : mask;
}

Shape reduced_shape(const Shape& shape, uint32_t mask, bool keepdim) {
  Shape out;
  for (int d = 0; d < shape.rank(); ++d) {
    if ((mask >> d & 1u) == 0) {
      out.push_back(shape[d]);
    } else if (keepdim) {
      out.push_back(1);
    }
  }
  return out;
}

int64_t reduced_count(const Shape& shape, uint32_t mask) {
  int64_t count = 1;
  for (int d = 0; d < shape.rank(); ++d) {
    count *= (mask >> d & 1u) != 0 ? shape[d] : 1;
  }
  return count;
}

namespace {

Tensor reduce_masked(const char* name, ReduceOp op, const Tensor& x, uint32_t mask, bool keepdim) {
  check_dtype(name, kAllDTypes, x.dtype());
  if (x.dtype() == DType::bf16) {
    return reduce_masked(name, op, x.to(DType::f32), mask, keepdim).to(DType::bf16);
  }
  const bool extremum = op == ReduceOp::max || op == ReduceOp::min;
  Tensor out =
      Tensor::empty(reduced_shape(x.shape(), mask, true), is_floating(x.dtype()) || extremum ? x.dtype() : DType::i64);
  report_cost(name, {&x, &out});
  // Integers have the plain kernel only: they are not what training waits for.
  is_floating(x.dtype()) && use_fast(x.dtype()) ? fast::reduce(op, x, mask, out) : reference::reduce(op, x, mask, out);
  return keepdim ? out : out.reshape(reduced_shape(x.shape(), mask, false));
}

Tensor extremum(const char* name, ReduceOp op, const Tensor& x, const Dims& dim, bool keepdim) {
  const uint32_t mask = dim_mask(name, dim, x.dim());
  for (int d = 0; d < x.dim(); ++d) {
    check((mask >> d & 1u) == 0 || x.shape()[d] > 0, name, ": dimension ", d, " of shape ", x.shape(),
          " is empty and has no extremum");
  }
  return reduce_masked(name, op, x, mask, keepdim);
}

}  // namespace

Tensor sum(const Tensor& x) { return sum(x, {}, false); }
Tensor sum(const Tensor& x, const Dims& dim, bool keepdim) {
  return reduce_masked("sum", ReduceOp::sum, x, dim_mask("sum", dim, x.dim()), keepdim);
}

Tensor prod(const Tensor& x) { return reduce_masked("prod", ReduceOp::prod, x, dim_mask("prod", {}, x.dim()), false); }
Tensor prod(const Tensor& x, int64_t dim, bool keepdim) {
  return reduce_masked("prod", ReduceOp::prod, x, dim_mask("prod", {dim}, x.dim()), keepdim);
}

Tensor mean(const Tensor& x) { return mean(x, {}, false); }
Tensor mean(const Tensor& x, const Dims& dim, bool keepdim) {
  check_dtype("mean", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return mean(x.to(DType::f32), dim, keepdim).to(DType::bf16);
  }
  const uint32_t mask = dim_mask("mean", dim, x.dim());
  const int64_t count = reduced_count(x.shape(), mask);
  // An empty mean is 0 / 0, as in PyTorch.
  const double scale = count > 0 ? 1.0 / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
  return mul(reduce_masked("mean", ReduceOp::sum, x, mask, keepdim), scale);
}

Tensor amax(const Tensor& x, const Dims& dim, bool keepdim) { return extremum("amax", ReduceOp::max, x, dim, keepdim); }
Tensor amin(const Tensor& x, const Dims& dim, bool keepdim) { return extremum("amin", ReduceOp::min, x, dim, keepdim); }

// With m the rounded mean and d = x - m: sum((x - mean)^2) = sum(d^2) - sum(d)^2 / n exactly, so what rounding m has
// spoiled is taken out again.
Tensor var(const Tensor& x, const Dims& dim, int64_t correction, bool keepdim) {
  check_dtype("var", kFloats, x.dtype());
  if (x.dtype() == DType::bf16) {
    return var(x.to(DType::f32), dim, correction, keepdim).to(DType::bf16);
  }
  const uint32_t mask = dim_mask("var", dim, x.dim());
  const auto count = static_cast<double>(reduced_count(x.shape(), mask));
  const Tensor deviation = sub(x, mean(x, dim, true));
  const Tensor rest = square(reduce_masked("var", ReduceOp::sum, deviation, mask, keepdim));
  const Tensor squares = reduce_masked("var", ReduceOp::sum, square(deviation), mask, keepdim);
  const double degrees = count - static_cast<double>(correction);
  return div(count > 0 ? sub(squares, div(rest, count)) : squares, std::max(degrees, 0.0));
}

// An extremum of bools is "or" and "and".
Tensor any(const Tensor& x, const Dims& dim, bool keepdim) {
  return reduce_masked("any", ReduceOp::max, ne(x, 0), dim_mask("any", dim, x.dim()), keepdim);
}
Tensor all(const Tensor& x, const Dims& dim, bool keepdim) {
  return reduce_masked("all", ReduceOp::min, ne(x, 0), dim_mask("all", dim, x.dim()), keepdim);
}

Tensor count_nonzero(const Tensor& x, const Dims& dim, bool keepdim) {
  return reduce_masked("count_nonzero", ReduceOp::sum, ne(x, 0), dim_mask("count_nonzero", dim, x.dim()), keepdim);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) {
    return is_floating(x.dtype()) ? x : x.to(DType::i64);
  }
  const int lead = x.dim() - shape.rank();
  check(lead >= 0, "sum_to: shape ", x.shape(), " has fewer dimensions than ", shape);
  uint32_t mask = (1u << lead) - 1u;
  for (int d = 0; d < shape.rank(); ++d) {
    const int64_t from = x.shape()[lead + d];
    check(from == shape[d] || shape[d] == 1, "sum_to: shape ", x.shape(), " is no broadcast of ", shape);
    mask |= from != shape[d] ? 1u << (lead + d) : 0u;
  }
  return reduce_masked("sum_to", ReduceOp::sum, x, mask, true).reshape(shape);
}

}  // namespace sfumato
