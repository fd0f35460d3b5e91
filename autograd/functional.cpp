#include "autograd/functional.h"

#include "tensor/ops/view.h"

namespace sfumato {
namespace {

std::vector<Variable> leaves_of(std::span<const Tensor> inputs) {
  std::vector<Variable> leaves;
  leaves.reserve(inputs.size());
  for (const Tensor& input : inputs) {
    leaves.emplace_back(input, /*requires_grad=*/true);
  }
  return leaves;
}

Tensor or_zeros(const Variable& gradient, const Tensor& like) {
  return gradient.defined() ? gradient.tensor() : zeros_like(like);
}

void check_direction(const char* op, const char* name, const Tensor& direction, const Shape& shape) {
  check(direction.defined() && direction.shape() == shape, op, ": ", name, " must have shape ", shape, ", got ",
        direction.defined() ? to_string(direction.shape()) : "an undefined tensor");
}

// The gradients of `out` for each leaf, undefined where there is no dependence.
std::vector<Variable> gradients_of(const Variable& out,
                                   std::span<const Variable> leaves,
                                   const Variable& v,
                                   const BackwardOptions& options) {
  return out.requires_grad() ? grad(out, leaves, v, options) : std::vector<Variable>(leaves.size());
}

// A tensor of zeros with a one at element i.
Tensor unit(const Tensor& like, int64_t i) {
  Tensor e = zeros_like(like);
  reshape(e, {e.numel()}).as_strided({1}, {1}, i).fill(1);
  return e;
}

Shape joined(const Shape& a, const Shape& b) {
  Shape shape = a;
  for (const int64_t size : b) {
    shape.push_back(size);
  }
  return shape;
}

}  // namespace

VjpResult vjp(const VariableFunction& f, std::span<const Tensor> inputs, const Tensor& v) {
  const GradModeGuard record(true);
  const std::vector<Variable> leaves = leaves_of(inputs);
  const Variable out = f(leaves);
  if (v.defined()) {
    check_direction("vjp", "v", v, out.shape());
  }
  const std::vector<Variable> gradients = gradients_of(out, leaves, v.defined() ? Variable(v) : Variable(), {});
  VjpResult result{out.tensor(), {}};
  for (size_t i = 0; i < inputs.size(); ++i) {
    result.products.push_back(or_zeros(gradients[i], inputs[i]));
  }
  return result;
}

JvpResult jvp(const VariableFunction& f, std::span<const Tensor> inputs, std::span<const Tensor> tangents) {
  check(inputs.size() == tangents.size(), "jvp: ", inputs.size(), " inputs but ", tangents.size(), " tangents");
  const GradModeGuard record(true);
  const std::vector<Variable> leaves = leaves_of(inputs);
  const Variable out = f(leaves);
  // v^T J as a function of v; its value is of no interest, so v is zero.
  const Variable v(zeros_like(out.tensor()), /*requires_grad=*/true);
  const std::vector<Variable> products = gradients_of(out, leaves, v, {.create_graph = true});
  Variable along;
  for (size_t i = 0; i < inputs.size(); ++i) {
    check_direction("jvp", "a tangent", tangents[i], inputs[i].shape());
    if (products[i].defined()) {
      const Variable term = sum(products[i] * Variable(tangents[i]));
      along = along.defined() ? along + term : term;
    }
  }
  Variable product;
  if (along.defined() && along.requires_grad()) {
    product = grad(along, {{v}})[0];
  }
  return {out.tensor(), or_zeros(product, out.tensor())};
}

std::vector<Tensor> jacobian(const VariableFunction& f, std::span<const Tensor> inputs) {
  const GradModeGuard record(true);
  const std::vector<Variable> leaves = leaves_of(inputs);
  const Variable out = f(leaves);
  std::vector<Tensor> jacobians;
  for (const Tensor& input : inputs) {
    jacobians.push_back(zeros({out.numel(), input.numel()}, input.dtype()));
  }
  for (int64_t row = 0; row < out.numel() && out.requires_grad(); ++row) {
    const auto gradients = grad(out, leaves, Variable(unit(out.tensor(), row)), {.retain_graph = true});
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (gradients[i].defined()) {
        select(jacobians[i], 0, row).copy_from(reshape(gradients[i].tensor(), {inputs[i].numel()}));
      }
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    jacobians[i] = reshape(jacobians[i], joined(out.shape(), inputs[i].shape()));
  }
  return jacobians;
}

namespace {

// The gradient of a scalar function as a function.
VariableFunction gradient_of(const char* op, const std::function<Variable(const Variable&)>& f) {
  return [op, f](std::span<const Variable> x) {
    const Variable value = f(x[0]);
    check(value.numel() == 1, op, ": the function must return one element, got shape ", value.shape());
    const Variable slope = gradients_of(value, x, {}, {.create_graph = true})[0];
    return slope.defined() ? slope : Variable(zeros_like(x[0].tensor()));
  };
}

}  // namespace

Tensor hessian(const std::function<Variable(const Variable&)>& f, const Tensor& x) {
  return jacobian(gradient_of("hessian", f), {{x}})[0];
}

// The Hessian is symmetric, so v^T H is H v.
Tensor hvp(const std::function<Variable(const Variable&)>& f, const Tensor& x, const Tensor& v) {
  check_direction("hvp", "v", v, x.shape());
  return vjp(gradient_of("hvp", f), {{x}}, v).products[0];
}

}  // namespace sfumato
