#include "autograd/gradcheck.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/join.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"
#include "tensor/random.h"

namespace sfumato {
namespace {

std::vector<Variable> as_leaves(const std::vector<Tensor>& inputs) {
  std::vector<Variable> leaves;
  leaves.reserve(inputs.size());
  for (const Tensor& input : inputs) {
    leaves.emplace_back(input.clone(), true);
  }
  return leaves;
}

// A fixed direction per purpose, so that a failure repeats.
Tensor direction(const Shape& shape, std::string_view purpose, int64_t draw) {
  RandomScope scope({.seed = 1, .step = draw});
  return randn({1, shape.numel()}, purpose, DType::f64).reshape(shape);
}

Tensor value_at(const DifferentiableFunction& f, const std::vector<Tensor>& inputs) {
  return f(as_leaves(inputs)).tensor().clone();
}

// (f(x + eps e_i) - f(x - eps e_i)) . cotangent / (2 eps)
double numeric_slope(const DifferentiableFunction& f,
                     std::vector<Tensor>& inputs,
                     size_t input,
                     int64_t entry,
                     const Tensor& cotangent,
                     double eps) {
  double& x = inputs[input].mutable_data<double>()[entry];
  const double original = x;
  x = original + eps;
  const Tensor above = value_at(f, inputs);
  x = original - eps;
  const Tensor below = value_at(f, inputs);
  x = original;
  return sum(mul(sub(above, below), cotangent)).item() / (2 * eps);
}

}  // namespace

bool gradcheck(const DifferentiableFunction& f,
               const std::vector<Tensor>& inputs,
               const GradcheckOptions& options,
               std::string* message) {
  std::vector<Tensor> points;
  for (const Tensor& input : inputs) {
    check(input.dtype() == DType::f64, "gradcheck: inputs must be f64, got ", input.dtype());
    points.push_back(input.clone());
  }
  const std::vector<Variable> leaves = as_leaves(points);
  const Variable out = f(leaves);
  check(out.defined() && out.dtype() == DType::f64, "gradcheck: the output must be f64, got ", out.dtype());
  const Tensor cotangent = direction(out.shape(), "gradcheck", 0);
  std::vector<Variable> analytic(leaves.size());
  if (out.requires_grad()) {
    analytic = grad(out, leaves, Variable(cotangent));
  }
  for (size_t k = 0; k < points.size(); ++k) {
    const Tensor gradient = analytic[k].defined() ? analytic[k].tensor().contiguous() : zeros_like(points[k]);
    for (int64_t i = 0; i < points[k].numel(); ++i) {
      const double numeric = numeric_slope(f, points, k, i, cotangent, options.eps);
      const double ours = gradient.data<double>()[i];
      if (!(std::abs(ours - numeric) <= options.atol + options.rtol * std::abs(numeric))) {
        if (message != nullptr) {
          *message = fmt::format("input {}, entry {}: analytic {:.12g}, numeric {:.12g}", k, i, ours, numeric);
        }
        return false;
      }
    }
  }
  return true;
}

bool gradcheck(const SeveralOutputs& f,
               const std::vector<Tensor>& inputs,
               const GradcheckOptions& options,
               std::string* message) {
  const auto as_one = [&f](std::span<const Variable> x) {
    std::vector<Variable> outputs = f(x);
    check(!outputs.empty(), "gradcheck: the function has no outputs");
    for (Variable& output : outputs) {
      output = reshape(output, {output.numel()});
    }
    return cat(outputs, 0);
  };
  return gradcheck(DifferentiableFunction(as_one), inputs, options, message);
}

bool gradgradcheck(const DifferentiableFunction& f,
                   const std::vector<Tensor>& inputs,
                   const GradcheckOptions& options,
                   std::string* message) {
  const Tensor out = value_at(f, inputs);
  std::vector<Tensor> extended = inputs;
  extended.push_back(direction(out.shape(), "gradgradcheck", 0));
  const auto projected_gradients = [&](std::span<const Variable> x) {
    const auto arguments = x.first(x.size() - 1);
    const auto gradients = grad(f(arguments), arguments, x.back(), {.create_graph = true});
    Variable total;
    for (size_t k = 0; k < gradients.size(); ++k) {
      if (gradients[k].defined()) {
        const auto along = direction(arguments[k].shape(), "gradgradcheck", static_cast<int64_t>(k) + 1);
        const Variable term = sum(mul(gradients[k], Variable(along)));
        total = total.defined() ? add(total, term) : term;
      }
    }
    return total.defined() ? total : Variable(scalar(0, DType::f64));
  };
  return gradcheck(DifferentiableFunction(projected_gradients), extended, options, message);
}

}  // namespace sfumato
