// Arithmetic: the ops of "autograd/ops/elementwise.h" on two tensors, and on a tensor and a number.
#include "autograd/ops/cast.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"

namespace sfumato {
namespace {

// Tensors of two dtypes meet in promote_types(), through casts that the gradients come back through.
bool mixed(const Variable& a, const Variable& b) { return a.dtype() != b.dtype(); }
Variable promoted(Variable (*op)(const Variable&, const Variable&), const Variable& a, const Variable& b) {
  const DType common = promote_types(a.dtype(), b.dtype());
  return op(to(a, common), to(b, common));
}

Variable constant(const Tensor& condition, DType dtype) { return Variable(condition.to(dtype)); }

// The larger or smaller of a and b, as `beats` says: the gradient goes to the one that wins, at a tie one half to each.
Variable record_extremum(const char* name,
                         const Tensor& out,
                         const Variable& a,
                         const Variable& b,
                         Tensor (*beats)(const Tensor&, const Tensor&)) {
  const auto share_of = [beats](const Variable& mine, const Variable& other) {
    return [mine = save(mine), other = save(other), beats](const Variable& g) {
      const Tensor &x = mine().tensor(), &y = other().tensor();
      return mul(g, Variable(add(beats(x, y).to(g.dtype()), mul(eq(x, y).to(g.dtype()), 0.5))));
    };
  };
  return record(name, out, wrt(a, share_of(a, b)), wrt(b, share_of(b, a)));
}

}  // namespace

Variable add(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(add, a, b);
  }
  return record("add", add(a.tensor(), b.tensor()), wrt(a, [](const Variable& g) { return g; }),
                wrt(b, [](const Variable& g) { return g; }));
}

Variable sub(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(sub, a, b);
  }
  return record("sub", sub(a.tensor(), b.tensor()), wrt(a, [](const Variable& g) { return g; }),
                wrt(b, [](const Variable& g) { return neg(g); }));
}

Variable mul(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(mul, a, b);
  }
  return record("mul", mul(a.tensor(), b.tensor()), wrt(a, [b = save(b)](const Variable& g) { return mul(g, b()); }),
                wrt(b, [a = save(a)](const Variable& g) { return mul(g, a()); }));
}

Variable div(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(div, a, b);
  }
  return record("div", div(a.tensor(), b.tensor()), wrt(a, [b = save(b)](const Variable& g) { return div(g, b()); }),
                wrt(b, [b = save(b)](const Variable& g, const Variable& y) { return neg(div(mul(g, y), b())); }));
}

Variable maximum(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(maximum, a, b);
  }
  return record_extremum("maximum", maximum(a.tensor(), b.tensor()), a, b, gt);
}

Variable minimum(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(minimum, a, b);
  }
  return record_extremum("minimum", minimum(a.tensor(), b.tensor()), a, b, lt);
}

// d a^b = b a^(b-1) da + a^b ln a db. Both are 0, not NaN, where the power is constant: at b = 0, and at a = 0, b > 0.
Variable pow(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(static_cast<Variable (*)(const Variable&, const Variable&)>(pow), a, b);
  }
  return record("pow", pow(a.tensor(), b.tensor()),
                wrt(a,
                    [a = save(a), b = save(b)](const Variable& g) {
                      const Variable slope = mul(g, mul(b(), pow(a(), sub(b(), 1.0))));
                      return masked_fill(slope, eq(b().tensor(), 0.0), 0);
                    }),
                wrt(b, [a = save(a), b = save(b)](const Variable& g, const Variable& y) {
                  const Tensor flat = logical_and(eq(a().tensor(), 0.0), ge(b().tensor(), 0.0));
                  return masked_fill(mul(g, mul(y, log(a()))), flat, 0);
                }));
}

Variable atan2(const Variable& y, const Variable& x) {
  if (mixed(y, x)) {
    return promoted(atan2, y, x);
  }
  return record(
      "atan2", atan2(y.tensor(), x.tensor()),
      wrt(y, [y = save(y), x = save(x)](const Variable& g) { return div(mul(g, x()), add(square(x()), square(y()))); }),
      wrt(x, [y = save(y), x = save(x)](const Variable& g) {
        return neg(div(mul(g, y()), add(square(x()), square(y()))));
      }));
}

Variable hypot(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(hypot, a, b);
  }
  return record("hypot", hypot(a.tensor(), b.tensor()),
                wrt(a, [a = save(a)](const Variable& g, const Variable& y) { return mul(g, div(a(), y)); }),
                wrt(b, [b = save(b)](const Variable& g, const Variable& y) { return mul(g, div(b(), y)); }));
}

Variable logaddexp(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(logaddexp, a, b);
  }
  return record("logaddexp", logaddexp(a.tensor(), b.tensor()),
                wrt(a, [a = save(a), b = save(b)](const Variable& g) { return mul(g, sigmoid(sub(a(), b()))); }),
                wrt(b, [a = save(a), b = save(b)](const Variable& g) { return mul(g, sigmoid(sub(b(), a()))); }));
}

Variable copysign(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(copysign, a, b);
  }
  return record("copysign", copysign(a.tensor(), b.tensor()), wrt(a, [a = save(a), b = save(b)](const Variable& g) {
                  const Tensor& sign_of_b = b().tensor();
                  return mul(g, Variable(mul(sign(a().tensor()), copysign(ones_like(sign_of_b), sign_of_b))));
                }));
}

Variable floor_divide(const Variable& a, const Variable& b) { return Variable(floor_divide(a.tensor(), b.tensor())); }

// a - b * trunc(a / b): the quotient is a constant.
Variable fmod(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(fmod, a, b);
  }
  return record("fmod", fmod(a.tensor(), b.tensor()), wrt(a, [](const Variable& g) { return g; }),
                wrt(b, [a = save(a), b = save(b)](const Variable& g) {
                  return neg(mul(g, Variable(trunc(div(a().tensor(), b().tensor())))));
                }));
}

Variable remainder(const Variable& a, const Variable& b) {
  if (mixed(a, b)) {
    return promoted(remainder, a, b);
  }
  return record("remainder", remainder(a.tensor(), b.tensor()), wrt(a, [](const Variable& g) { return g; }),
                wrt(b, [a = save(a), b = save(b)](const Variable& g) {
                  return neg(mul(g, Variable(floor(div(a().tensor(), b().tensor())))));
                }));
}

namespace {

// The compositions below refuse by their own name what their parts would refuse by theirs.
void check_parts(const char* op, std::initializer_list<const Variable*> parts) {
  Shape shape;
  for (const Variable* part : parts) {
    check_dtype(op, kFloats, part->dtype());
    shape = broadcast_shapes(op, shape, part->shape());
  }
}

// f of the parts; where all are bf16 it is computed in f32 and rounded once, for the parts may cancel.
template <class F, class... Parts>
Variable rounded_once(F&& f, const Parts&... parts) {
  if ((... && (parts.dtype() == DType::bf16))) {
    return to(f(widened(parts)...), DType::bf16);
  }
  return f(parts...);
}

}  // namespace

Variable lerp(const Variable& a, const Variable& b, const Variable& weight) {
  check_parts("lerp", {&a, &b, &weight});
  return rounded_once([](const auto& x, const auto& y, const auto& w) { return add(x, mul(w, sub(y, x))); }, a, b,
                      weight);
}
Variable lerp(const Variable& a, const Variable& b, double weight) {
  check_parts("lerp", {&a, &b});
  return rounded_once([&](const auto& x, const auto& y) { return add(x, mul(sub(y, x), weight)); }, a, b);
}
Variable addcmul(const Variable& x, const Variable& a, const Variable& b, double value) {
  check_parts("addcmul", {&x, &a, &b});
  return rounded_once([&](const auto& s, const auto& p, const auto& q) { return add(s, mul(mul(p, q), value)); }, x, a,
                      b);
}
Variable addcdiv(const Variable& x, const Variable& a, const Variable& b, double value) {
  check_parts("addcdiv", {&x, &a, &b});
  return rounded_once([&](const auto& s, const auto& p, const auto& q) { return add(s, mul(div(p, q), value)); }, x, a,
                      b);
}

// Where x is 0 the product is 0, whatever y is; a y that has no finite logarithm is replaced there.
Variable xlogy(const Variable& x, const Variable& y) {
  check_parts("xlogy", {&x, &y});
  const Tensor unusable = logical_or(le(y.tensor(), 0.0), isinf(y.tensor()));
  const Tensor replaced = logical_and(eq(x.tensor(), 0.0), unusable);
  return mul(x, log(where(replaced, Variable(ones_like(y.tensor())), y)));
}

// ---- a tensor and a number ----

Variable affine(const Variable& x, double scale, double shift) {
  return record("affine", affine(x.tensor(), scale, shift),
                wrt(x, [scale](const Variable& g) { return mul(g, scale); }));
}
Variable add(const Variable& a, double b) {
  return record("add", add(a.tensor(), b), wrt(a, [](const Variable& g) { return g; }));
}
Variable sub(const Variable& a, double b) {
  return record("sub", sub(a.tensor(), b), wrt(a, [](const Variable& g) { return g; }));
}
Variable mul(const Variable& a, double b) {
  return record("mul", mul(a.tensor(), b), wrt(a, [b](const Variable& g) { return mul(g, b); }));
}
Variable div(const Variable& a, double b) {
  return record("div", div(a.tensor(), b), wrt(a, [b](const Variable& g) { return div(g, b); }));
}

Variable pow(const Variable& x, double exponent) {
  return record("pow", pow(x.tensor(), exponent), wrt(x, [x = save(x), exponent](const Variable& g) {
                  return exponent == 0 ? Variable() : mul(g, mul(pow(x(), exponent - 1), exponent));
                }));
}

Variable clamp(const Variable& x, double min, double max) {
  return record("clamp", clamp(x.tensor(), min, max), wrt(x, [x = save(x), min, max](const Variable& g) {
                  return mul(g, constant(logical_and(ge(x().tensor(), min), le(x().tensor(), max)), g.dtype()));
                }));
}

}  // namespace sfumato
