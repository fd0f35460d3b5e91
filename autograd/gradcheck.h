// gradcheck: compares analytic gradients with central differences, in f64.
//
//   std::string why;
//   bool ok = gradcheck([](std::span<const Variable> x) { return silu(x[0] * x[1]); }, {a, b}, {}, &why);
//
// For a random cotangent c, sum(c * (f(x + eps e_i) - f(x - eps e_i))) / (2 eps) must equal the i-th entry of the
// gradient of sum(c * f(x)) within atol + rtol * |numeric|, for every entry of every input. Keep inputs away from
// kinks.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace sfumato {

struct GradcheckOptions {
  double eps = 1e-6;
  double rtol = 1e-6;
  double atol = 1e-8;
};

using DifferentiableFunction = std::function<Variable(std::span<const Variable>)>;

// Inputs and the output must be f64 (throws otherwise). On failure `message` says which entry of which input, and both
// values.
bool gradcheck(const DifferentiableFunction& f,
               const std::vector<Tensor>& inputs,
               const GradcheckOptions& options = {},
               std::string* message = nullptr);

// The same for a function with several f64 outputs, of any shapes.
using SeveralOutputs = std::function<std::vector<Variable>(std::span<const Variable>)>;
bool gradcheck(const SeveralOutputs& f,
               const std::vector<Tensor>& inputs,
               const GradcheckOptions& options = {},
               std::string* message = nullptr);

// gradcheck of the gradients themselves, as functions of the inputs and of the cotangent.
bool gradgradcheck(const DifferentiableFunction& f,
                   const std::vector<Tensor>& inputs,
                   const GradcheckOptions& options = {},
                   std::string* message = nullptr);

}  // namespace sfumato
