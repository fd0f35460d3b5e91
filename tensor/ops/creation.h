// Factories: tensors from shapes, numbers and lists. Names and meanings are PyTorch's; the default dtype is f32.
//
//   zeros({2, 3});  full({4}, 0.5, DType::f64);  arange(0, 10);  tensor_of({1.0, 2.0, 3.0}, {3});
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace sfumato {

Tensor empty(const Shape& shape, DType dtype = DType::f32);
Tensor empty_like(const Tensor& x);
Tensor zeros(const Shape& shape, DType dtype = DType::f32);
Tensor zeros_like(const Tensor& x);
Tensor ones(const Shape& shape, DType dtype = DType::f32);
Tensor ones_like(const Tensor& x);
Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
Tensor full_like(const Tensor& x, double value);
// A tensor of rank 0.
Tensor scalar(double value, DType dtype = DType::f32);

// start, start + step, ... below `end` (above it for a negative step).
Tensor arange(double start, double end, double step = 1.0, DType dtype = DType::f32);
// `count` evenly spaced values from `start` to `end`, both included.
Tensor linspace(double start, double end, int64_t count, DType dtype = DType::f32);
Tensor eye(int64_t n, DType dtype = DType::f32);

// Row-major values; throws when their number is not the shape's.
Tensor tensor_of(std::span<const double> values, const Shape& shape, DType dtype = DType::f32);
Tensor tensor_of(std::initializer_list<double> values, const Shape& shape, DType dtype = DType::f32);

}  // namespace sfumato
