// Activation functions: the smooth and the kinked ones of neural networks.
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {

Variable relu(const Variable& x) {
  return record("relu", relu(x.tensor()), wrt(x, [x = save(x)](const Variable& g) {
                  return mul(g, Variable(gt(x().tensor(), 0.0).to(g.dtype())));
                }));
}

Variable relu6(const Variable& x) {
  check_dtype("relu6", kFloats, x.dtype());
  return clamp(x, 0, 6);
}
Variable hardtanh(const Variable& x, double min, double max) {
  check_dtype("hardtanh", kNumbers, x.dtype());
  return clamp(x, min, max);
}

Variable leaky_relu(const Variable& x, double slope) {
  return record("leaky_relu", leaky_relu(x.tensor(), slope), wrt(x, [x = save(x), slope](const Variable& g) {
                  const Tensor positive = gt(x().tensor(), 0.0).to(g.dtype());
                  return mul(g, Variable(affine(positive, 1 - slope, slope)));
                }));
}

// The exponential never sees a positive argument: it would overflow where it is not chosen, and its gradient be NaN.
Variable elu(const Variable& x, double alpha) {
  check_dtype("elu", kFloats, x.dtype());
  const Variable below = mul(expm1(minimum(x, Variable(zeros_like(x.tensor())))), alpha);
  return where(gt(x.tensor(), 0.0), x, below);
}

Variable sigmoid(const Variable& x) {
  return record("sigmoid", sigmoid(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, mul(y, affine(y, -1, 1))); }));
}

Variable hardsigmoid(const Variable& x) {
  check_dtype("hardsigmoid", kFloats, x.dtype());
  return div(clamp(add(x, 3.0), 0, 6), 6.0);
}
Variable hardswish(const Variable& x) {
  check_dtype("hardswish", kFloats, x.dtype());
  return mul(x, hardsigmoid(x));
}

Variable softplus(const Variable& x) {
  return record("softplus", softplus(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, sigmoid(x())); }));
}

Variable logsigmoid(const Variable& x) {
  check_dtype("logsigmoid", kFloats, x.dtype());
  return neg(softplus(neg(x)));
}
Variable softsign(const Variable& x) {
  check_dtype("softsign", kFloats, x.dtype());
  return div(x, add(abs(x), 1.0));
}
Variable mish(const Variable& x) {
  check_dtype("mish", kFloats, x.dtype());
  return mul(x, tanh(softplus(x)));
}

Variable silu(const Variable& x) {
  return record("silu", silu(x.tensor()), wrt(x, [x = save(x)](const Variable& g) {
                  if (!grad_enabled()) {
                    return Variable(silu_backward(g.tensor(), x().tensor()));
                  }
                  const Variable s = sigmoid(x());
                  return mul(g, mul(s, add(mul(x(), affine(s, -1, 1)), 1.0)));
                }));
}

namespace {

// d/dx [x Phi(x)] = Phi(x) + x phi(x), Phi and phi the standard normal's distribution and density.
Variable gelu_slope(const Variable& x) {
  const Variable distribution = affine(erf(mul(x, M_SQRT1_2)), 0.5, 0.5);
  const Variable density = mul(exp(mul(square(x), -0.5)), 0.5 * M_2_SQRTPI * M_SQRT1_2);
  return add(distribution, mul(x, density));
}

// The same for the approximation 0.5 x (1 + tanh(u)), u = sqrt(2/pi) (x + 0.044715 x^3).
Variable gelu_tanh_slope(const Variable& x) {
  const double scale = std::sqrt(2 / M_PI);
  const Variable squared = square(x);
  const Variable t = tanh(mul(mul(x, affine(squared, 0.044715, 1)), scale));
  const Variable du = affine(squared, 3 * 0.044715 * scale, scale);
  return add(affine(t, 0.5, 0.5), mul(mul(mul(x, 0.5), affine(square(t), -1, 1)), du));
}

}  // namespace

Variable gelu(const Variable& x, GeluApproximation approximate) {
  return record("gelu", gelu(x.tensor(), approximate), wrt(x, [x = save(x), approximate](const Variable& g) {
                  return mul(g, approximate == GeluApproximation::tanh ? gelu_tanh_slope(x()) : gelu_slope(x()));
                }));
}

}  // namespace sfumato
