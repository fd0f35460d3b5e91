// The elementary functions of "autograd/ops/elementwise.h"; arithmetic.cpp and activation.cpp beside it have the rest.
#include "autograd/ops/elementwise.h"

#include <cmath>

#include "autograd/record.h"

namespace sfumato {

Variable neg(const Variable& x) {
  return record("neg", neg(x.tensor()), wrt(x, [](const Variable& g) { return neg(g); }));
}

Variable abs(const Variable& x) {
  return record("abs", abs(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, Variable(sign(x().tensor()))); }));
}

// ---- exponentials and logarithms ----

Variable exp(const Variable& x) {
  return record("exp", exp(x.tensor()), wrt(x, [](const Variable& g, const Variable& y) { return mul(g, y); }));
}

Variable exp2(const Variable& x) {
  return record("exp2", exp2(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(mul(g, y), M_LN2); }));
}

Variable expm1(const Variable& x) {
  return record("expm1", expm1(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, add(y, 1.0)); }));
}

Variable log(const Variable& x) {
  return record("log", log(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return div(g, x()); }));
}

Variable log2(const Variable& x) {
  return record("log2", log2(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return div(mul(g, M_LOG2E), x()); }));
}

Variable log10(const Variable& x) {
  return record("log10", log10(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return div(mul(g, M_LOG10E), x()); }));
}

Variable log1p(const Variable& x) {
  return record("log1p", log1p(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return div(g, add(x(), 1.0)); }));
}

Variable logit(const Variable& x) {
  check_dtype("logit", kFloats, x.dtype());
  return sub(log(x), log1p(neg(x)));
}

// ---- powers ----

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

// ---- circular and hyperbolic functions ----

Variable sin(const Variable& x) {
  return record("sin", sin(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return mul(g, cos(x())); }));
}

Variable cos(const Variable& x) {
  return record("cos", cos(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return neg(mul(g, sin(x()))); }));
}

Variable tan(const Variable& x) {
  return record("tan", tan(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, add(square(y), 1.0)); }));
}

Variable asin(const Variable& x) {
  return record("asin", asin(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, rsqrt(affine(square(x()), -1, 1))); }));
}

Variable acos(const Variable& x) {
  return record("acos", acos(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return neg(mul(g, rsqrt(affine(square(x()), -1, 1)))); }));
}

Variable atan(const Variable& x) {
  return record("atan", atan(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return div(g, add(square(x()), 1.0)); }));
}

Variable sinh(const Variable& x) {
  return record("sinh", sinh(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return mul(g, cosh(x())); }));
}

Variable cosh(const Variable& x) {
  return record("cosh", cosh(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return mul(g, sinh(x())); }));
}

Variable tanh(const Variable& x) {
  return record("tanh", tanh(x.tensor()),
                wrt(x, [](const Variable& g, const Variable& y) { return mul(g, affine(square(y), -1, 1)); }));
}

Variable asinh(const Variable& x) {
  return record("asinh", asinh(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, rsqrt(add(square(x()), 1.0))); }));
}

Variable acosh(const Variable& x) {
  return record("acosh", acosh(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return mul(g, rsqrt(sub(square(x()), 1.0))); }));
}

Variable atanh(const Variable& x) {
  return record("atanh", atanh(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return div(g, affine(square(x()), -1, 1)); }));
}

// ---- the normal distribution's ----

namespace {

// d erf(x) / dx = 2 / sqrt(pi) e^(-x^2)
Variable erf_slope(const Variable& x) { return mul(exp(neg(square(x))), M_2_SQRTPI); }

}  // namespace

Variable erf(const Variable& x) {
  return record("erf", erf(x.tensor()), wrt(x, [x = save(x)](const Variable& g) { return mul(g, erf_slope(x())); }));
}

Variable erfc(const Variable& x) {
  return record("erfc", erfc(x.tensor()),
                wrt(x, [x = save(x)](const Variable& g) { return neg(mul(g, erf_slope(x()))); }));
}

// ---- steps: flat wherever they have a slope ----

Variable sign(const Variable& x) { return Variable(sign(x.tensor())); }
Variable floor(const Variable& x) { return Variable(floor(x.tensor())); }
Variable ceil(const Variable& x) { return Variable(ceil(x.tensor())); }
Variable round(const Variable& x) { return Variable(round(x.tensor())); }
Variable trunc(const Variable& x) { return Variable(trunc(x.tensor())); }
Variable frac(const Variable& x) {
  check_dtype("frac", kFloats, x.dtype());
  return sub(x, trunc(x));
}

}  // namespace sfumato
