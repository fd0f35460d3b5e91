#include "autograd/ops/attention.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/view.h"

namespace sfumato {
namespace {

double default_scale(int64_t depth) { return 1 / std::sqrt(static_cast<double>(std::max<int64_t>(depth, 1))); }

// softmax(scale q k^T) for q (..., L, D) and k (..., S, D). The scale goes to q, which is smaller than the scores
// wherever S > D.
Variable attention_weights(const Variable& q, const Variable& k, double scale) {
  return softmax(matmul(q * scale, transpose(k, -2, -1)), -1);
}

}  // namespace

Variable scaled_dot_product_attention(const Variable& q, const Variable& k, const Variable& v, double scale) {
  constexpr const char* op = "scaled_dot_product_attention";
  check(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2, op, ": q, k and v must be (..., length, depth), got ", q.shape(),
        ", ", k.shape(), " and ", v.shape());
  check(q.size(-1) == k.size(-1), op, ": q ", q.shape(), " and k ", k.shape(), " differ in depth");
  check(k.size(-2) == v.size(-2), op, ": k ", k.shape(), " and v ", v.shape(), " differ in length");
  return matmul(attention_weights(q, k, scale == 0 ? default_scale(q.size(-1)) : scale), v);
}

Variable attention_channels_first(const Variable& q, const Variable& k, const Variable& v, int64_t heads) {
  constexpr const char* op = "attention_channels_first";
  check(q.dim() == 3, op, ": q must be (N, C, L), got ", q.shape());
  const int64_t channels = q.size(1);
  check(k.dim() == 3 && k.size(0) == q.size(0) && k.size(1) == channels && v.shape() == k.shape(), op, ": q ",
        q.shape(), " expects k and v of shape (", q.size(0), ", ", channels, ", S), got ", k.shape(), " and ",
        v.shape());
  check(heads >= 1 && channels % heads == 0, op, ": ", channels, " channels do not divide into ", heads, " heads");
  const auto split = [&](const Variable& x) { return reshape(x, {x.size(0), heads, channels / heads, x.size(2)}); };
  const Variable rows = transpose(split(q), -2, -1);
  const Variable weights = attention_weights(rows, transpose(split(k), -2, -1), default_scale(channels / heads));
  // out^T = v weights^T comes out with channels first, as it is wanted.
  return reshape(matmul(split(v), transpose(weights, -2, -1)), q.shape());
}

}  // namespace sfumato
