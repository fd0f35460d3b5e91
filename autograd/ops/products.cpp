// Products of fixed ranks, as reshapes of matmul, and distances of points.
#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/require.h"
#include "autograd/ops/view.h"

namespace sfumato {
namespace {

void require_ranks(const char* op, const Variable& a, int rank_a, const Variable& b, int rank_b) {
  require_floats(op, {a, b});
  check(a.dim() == rank_a && b.dim() == rank_b, op, ": arguments of ", rank_a, " and ", rank_b,
        " dimensions expected, got ", a.shape(), " and ", b.shape());
}

void require_match(const char* op, const Variable& a, int64_t dim_a, const Variable& b, int64_t dim_b) {
  check(a.size(dim_a) == b.size(dim_b), op, ": ", a.shape(), " and ", b.shape(), " do not fit: ", a.size(dim_a),
        " against ", b.size(dim_b));
}

Variable accumulated(const char* op, const Variable& x, const Variable& product, double beta, double alpha) {
  require_floats(op, {x, product});
  check(broadcast_shapes(op, x.shape(), product.shape()) == product.shape(), op, ": x ", x.shape(),
        " does not broadcast to the product ", product.shape());
  // As in PyTorch, beta 0 leaves x out, whatever it holds.
  return beta == 0 ? mul(product, alpha) : add(mul(x, beta), mul(product, alpha));
}

}  // namespace

Variable mm(const Variable& a, const Variable& b) {
  require_ranks("mm", a, 2, b, 2);
  require_match("mm", a, 1, b, 0);
  return matmul(a, b);
}

Variable bmm(const Variable& a, const Variable& b) {
  require_ranks("bmm", a, 3, b, 3);
  require_match("bmm", a, 0, b, 0);
  require_match("bmm", a, 2, b, 1);
  return matmul(a, b);
}

Variable mv(const Variable& a, const Variable& x) {
  require_ranks("mv", a, 2, x, 1);
  require_match("mv", a, 1, x, 0);
  return matmul(a, x);
}

Variable dot(const Variable& a, const Variable& b) {
  require_ranks("dot", a, 1, b, 1);
  require_match("dot", a, 0, b, 0);
  return matmul(a, b);
}

Variable outer(const Variable& a, const Variable& b) {
  require_ranks("outer", a, 1, b, 1);
  return mul(unsqueeze(a, 1), unsqueeze(b, 0));
}

Variable inner(const Variable& a, const Variable& b) {
  require_floats("inner", {a, b});
  if (a.dim() == 0 || b.dim() == 0) {
    return mul(a, b);
  }
  require_match("inner", a, -1, b, -1);
  return tensordot(a, b, {-1}, {-1});
}

Variable addmm(const Variable& x, const Variable& a, const Variable& b, double beta, double alpha) {
  require_ranks("addmm", a, 2, b, 2);
  require_match("addmm", a, 1, b, 0);
  return accumulated("addmm", x, matmul(a, b), beta, alpha);
}

Variable baddbmm(const Variable& x, const Variable& a, const Variable& b, double beta, double alpha) {
  require_ranks("baddbmm", a, 3, b, 3);
  require_match("baddbmm", a, 0, b, 0);
  require_match("baddbmm", a, 2, b, 1);
  return accumulated("baddbmm", x, matmul(a, b), beta, alpha);
}

// Differences, not |x|^2 - 2 x y + |y|^2: near points would lose all their digits there.
Variable cdist(const Variable& x, const Variable& y) {
  require_floats("cdist", {x, y});
  check(x.dim() >= 2 && y.dim() >= 2, "cdist: points must be (..., P, D), got ", x.shape(), " and ", y.shape());
  require_match("cdist", x, -1, y, -1);
  const Variable squares = sum(square(sub(unsqueeze(x, -2), unsqueeze(y, -3))), {-1});
  // The root's slope at 0 is infinite: distances 0 are replaced before it and put back behind it.
  const Tensor same = eq(squares.tensor(), 0.0);
  return masked_fill(sqrt(masked_fill(squares, same, 1)), same, 0);
}

}  // namespace sfumato
