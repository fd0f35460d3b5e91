#include "autograd/ops/elementwise.h"

#include <cmath>

#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {
namespace {

// A bool tensor as numbers 0 and 1: a constant of the backward pass.
Variable mask(const Tensor& condition, DType dtype) { return Variable(condition.to(dtype)); }

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  return record("add", add(a.tensor(), b.tensor()), wrt(a, [](const Variable& g) { return g; }),
                wrt(b, [](const Variable& g) { return g; }));
}

Variable sub(const Variable& a, const Variable& b) {
  return record("sub", sub(a.tensor(), b.tensor()), wrt(a, [](const Variable& g) { return g; }),
                wrt(b, [](const Variable& g) { return neg(g); }));
}

Variable mul(const Variable& a, const Variable& b) {
  return record("mul", mul(a.tensor(), b.tensor()), wrt(a, [b = save(b)](const Variable& g) { return mul(g, b()); }),
                wrt(b, [a = save(a)](const Variable& g) { return mul(g, a()); }));
}

Variable div(const Variable& a, const Variable& b) {
  return record("div", div(a.tensor(), b.tensor()), wrt(a, [b = save(b)](const Variable& g) { return div(g, b()); }),
                wrt(b, [b = save(b)](const Variable& g, const Variable& y) { return neg(div(mul(g, y), b())); }));
}

namespace {

// The share of the gradient that goes to a: 1 where it wins, one half at a tie.
Variable share(const Tensor& wins, const Tensor& ties, DType dtype) {
  return Variable(add(wins.to(dtype), mul(ties.to(dtype), 0.5)));
}

}  // namespace

Variable maximum(const Variable& a, const Variable& b) {
  return record("maximum", maximum(a.tensor(), b.tensor()),
                wrt(a,
                    [a = save(a), b = save(b)](const Variable& g) {
                      const Tensor &x = a().tensor(), &y = b().tensor();
                      return mul(g, share(gt(x, y), eq(x, y), g.dtype()));
                    }),
                wrt(b, [a = save(a), b = save(b)](const Variable& g) {
                  const Tensor &x = a().tensor(), &y = b().tensor();
                  return mul(g, share(gt(y, x), eq(x, y), g.dtype()));
                }));
}

Variable minimum(const Variable& a, const Variable& b) { return neg(maximum(neg(a), neg(b))); }

Variable affine(const Variable& x, double scale, double shift) {
  return record("affine", affine(x.tensor(), scale, shift),
                wrt(x, [scale](const Variable& g) { return mul(g, scale); }));
}
Variable add(const Variable& a, double b) { return affine(a, 1, b); }
Variable sub(const Variable& a, double b) { return affine(a, 1, -b); }
Variable mul(const Variable& a, double b) { return affine(a, b, 0); }
Variable div(const Variable& a, double b) { return affine(a, 1 / b, 0); }
Variable neg(const Variable& x) {
  return record("neg", neg(x.tensor()), wrt(x, [](const Variable& g) { return neg(g); }));
}

Variable abs(const Variable& x) {
  return record("abs", abs(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, Variable(sign(x().tensor()))); }));
}

Variable exp(const Variable& x) {
  return record("exp", exp(x.tensor()), wrt(x, [](const Variable& g, const Variable& y) { return mul(g, y); }));
}

Variable expm1(const Variable& x) {
  return record("expm1", expm1(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, add(y, 1.0)); }));
}

Variable log(const Variable& x) {
  return record("log", log(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return div(g, x()); }));
}

Variable log1p(const Variable& x) {
  return record("log1p", log1p(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return div(g, add(x(), 1.0)); }));
}

Variable sqrt(const Variable& x) {
  return record("sqrt", sqrt(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return div(mul(g, 0.5), y); }));
}

Variable rsqrt(const Variable& x) {
  // d x^(-1/2) = -1/2 y^3
  return record("rsqrt", rsqrt(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(mul(g, -0.5), mul(y, square(y))); }));
}

Variable square(const Variable& x) {
  return record("square", square(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(mul(g, 2.0), x()); }));
}

Variable reciprocal(const Variable& x) {
  return record("reciprocal", reciprocal(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return neg(mul(g, square(y))); }));
}

Variable sin(const Variable& x) {
  return record("sin", sin(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return mul(g, cos(x())); }));
}

Variable cos(const Variable& x) {
  return record("cos", cos(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return neg(mul(g, sin(x()))); }));
}

Variable tanh(const Variable& x) {
  return record("tanh", tanh(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, affine(square(y), -1, 1)); }));
}

Variable erf(const Variable& x) {
  return record("erf", erf(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, mul(exp(neg(square(x()))), M_2_SQRTPI)); }));
}

Variable sigmoid(const Variable& x) {
  return record("sigmoid", sigmoid(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, mul(y, affine(y, -1, 1))); }));
}

Variable softplus(const Variable& x) {
  return record("softplus", softplus(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, sigmoid(x())); }));
}

Variable relu(const Variable& x) {
  return record("relu", relu(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, mask(gt(x().tensor(), 0.0), g.dtype())); }));
}

Variable leaky_relu(const Variable& x, double slope) {
  return record("leaky_relu", leaky_relu(x.tensor(), slope), wrt(x, [x = save(x), slope](const Variable& g) {
                  const Tensor positive = gt(x().tensor(), 0.0).to(g.dtype());
                  return mul(g, Variable(affine(positive, 1 - slope, slope)));
                }));
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

Variable sign(const Variable& x) { return Variable(sign(x.tensor())); }
Variable floor(const Variable& x) { return Variable(floor(x.tensor())); }
Variable ceil(const Variable& x) { return Variable(ceil(x.tensor())); }
Variable round(const Variable& x) { return Variable(round(x.tensor())); }

Variable clamp(const Variable& x, double min, double max) {
  return record("clamp", clamp(x.tensor(), min, max), wrt(x, [x = save(x), min, max](const Variable& g) {
                  const Tensor inside = mul(ge(x().tensor(), min).to(g.dtype()), le(x().tensor(), max).to(g.dtype()));
                  return mul(g, Variable(inside));
                }));
}

Variable pow(const Variable& x, double exponent) {
  return record("pow", pow(x.tensor(), exponent), wrt(x, [x = save(x), exponent](const Variable& g) {
                  return exponent == 0 ? Variable() : mul(g, mul(pow(x(), exponent - 1), exponent));
                }));
}

}  // namespace sfumato
