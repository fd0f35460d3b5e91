// Indexing and selection by a bool tensor: the ops of "tensor/ops/index.h" and "compare.h" on Variables, with their
// gradients. Indices, conditions and masks are Tensors: they have no gradient.
//
//   Variable rows = embedding(weight, labels);
//
// index_select and index_add, gather and scatter_add are each other's adjoints, so every order of derivative exists.
#pragma once

#include "autograd/variable.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/index.h"

namespace sfumato {

Variable index_select(const Variable& x, int64_t dim, const Tensor& index);
Variable index_add(const Variable& source, int64_t dim, const Tensor& index, int64_t size);
Variable gather(const Variable& x, int64_t dim, const Tensor& index);
Variable scatter_add(const Variable& source, int64_t dim, const Tensor& index, const Shape& shape);
Variable embedding(const Variable& weight, const Tensor& index);
Variable where(const Tensor& condition, const Variable& a, const Variable& b);
Variable masked_fill(const Variable& x, const Tensor& mask, double value);

}  // namespace sfumato
