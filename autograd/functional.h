// Derivatives of functions, as torch.autograd.functional has them: products with Jacobians and Hessians, and the
// matrices themselves.
//
//   Variable y = ...; const auto f = [](std::span<const Variable> x) { return sin(x[0]) * x[1]; };
//   VjpResult r = vjp(f, {x, y}, v);          // r.value = f(x, y), r.products[i] = v^T df/dx_i
//   JvpResult s = jvp(f, {x, y}, {dx, dy});   // s.value, s.product = sum_i df/dx_i dx_i
//   Tensor J = jacobian(f, {x})[0];           // (shape of f..., shape of x...)
//   Tensor H = hessian(g, x);                 // g scalar: (shape of x..., shape of x...)
//   Tensor p = hvp(g, x, v);                  // H v, without H
//
// The forward-mode product is made of two reverse passes: v -> v^T J is linear in v, so its derivative along a
// direction is J times that direction (Townsend 2017, "A new trick for calculating Jacobian vector products"). Inputs
// that f does not depend on have zeros. Nothing here touches any leaf's grad().
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "autograd/variable.h"

namespace sfumato {

using VariableFunction = std::function<Variable(std::span<const Variable> inputs)>;

struct VjpResult {
  Tensor value;
  std::vector<Tensor> products;  // one per input, of its shape
};
struct JvpResult {
  Tensor value;
  Tensor product;  // of the value's shape
};

// `v` has the shape of f's value; it may be left out (undefined) when that has one element.
VjpResult vjp(const VariableFunction& f, std::span<const Tensor> inputs, const Tensor& v = {});
// One tangent per input, of its shape.
JvpResult jvp(const VariableFunction& f, std::span<const Tensor> inputs, std::span<const Tensor> tangents);
// df_i / dx_j for every input: shape of the value followed by the input's. One backward pass per element of the value.
std::vector<Tensor> jacobian(const VariableFunction& f, std::span<const Tensor> inputs);

// Of a function of one tensor whose value has one element; the Hessian costs one pass per element of x.
Tensor hessian(const std::function<Variable(const Variable&)>& f, const Tensor& x);
Tensor hvp(const std::function<Variable(const Variable&)>& f, const Tensor& x, const Tensor& v);

}  // namespace sfumato
