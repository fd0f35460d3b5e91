#include "autograd/ops/attention.h"

#include <cmath>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/index.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/norm.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/require.h"
#include "autograd/ops/view.h"

namespace sfumato {
namespace {

double default_scale(int64_t depth) { return 1 / std::sqrt(static_cast<double>(std::max<int64_t>(depth, 1))); }

// Whether query i sees key j <= i, (queries, keys).
Tensor causal_mask(int64_t queries, int64_t keys) {
  Tensor mask = Tensor::empty({queries, keys}, DType::boolean);
  bool* sees = mask.mutable_data<bool>();
  for (int64_t i = 0; i < queries; ++i) {
    for (int64_t j = 0; j < keys; ++j) {
      sees[i * keys + j] = j <= i;
    }
  }
  return mask;
}

// softmax of the scores that `mask` lets through, and zeros in rows where that is none. Hidden scores become a number
// that exp() takes to 0 beside any other, but no infinity: rows without a key would be NaN on the way forward and back.
Variable softmax_where(const Tensor& mask, const Variable& scores) {
  constexpr double kHidden = -1e30;
  const Tensor unseen = logical_not(any(mask, {-1}, /*keepdim=*/true));
  return masked_fill(softmax(masked_fill(scores, logical_not(mask), kHidden), -1), unseen, 0);
}

// softmax(scale q k^T) for q (..., L, D) and k (..., S, D). The scale goes to q, which is smaller than the scores
// wherever S > D.
Variable attention_weights(const Variable& q, const Variable& k, double scale) {
  return softmax(matmul(q * scale, transpose(k, -2, -1)), -1);
}

}  // namespace

Variable scaled_dot_product_attention(const Variable& q,
                                      const Variable& k,
                                      const Variable& v,
                                      const AttentionOptions& options) {
  constexpr const char* op = "scaled_dot_product_attention";
  require_floats(op, {q, k, v});
  check(q.dim() >= 2 && k.dim() >= 2 && v.dim() >= 2, op, ": q, k and v must be (..., length, depth), got ", q.shape(),
        ", ", k.shape(), " and ", v.shape());
  check(q.size(-1) == k.size(-1), op, ": q ", q.shape(), " and k ", k.shape(), " differ in depth");
  check(k.size(-2) == v.size(-2), op, ": k ", k.shape(), " and v ", v.shape(), " differ in length");
  const Variable& mask = options.attn_mask;
  check(!mask.defined() || !options.is_causal, op, ": attn_mask and is_causal exclude each other");
  const double scale = options.scale == 0 ? default_scale(q.size(-1)) : options.scale;
  if (!mask.defined() && !options.is_causal) {
    return matmul(attention_weights(q, k, scale), v);
  }
  const Variable scores = matmul(q * scale, transpose(k, -2, -1));
  const Tensor visible = options.is_causal ? causal_mask(q.size(-2), k.size(-2)) : mask.tensor();
  check(broadcast_shapes(op, scores.shape(), visible.shape()) == scores.shape(), op, ": attn_mask ", visible.shape(),
        " does not broadcast to the scores ", scores.shape());
  if (visible.dtype() == DType::boolean) {
    return matmul(softmax_where(visible, scores), v);
  }
  check(visible.dtype() == q.dtype(), op, ": attn_mask must be bool or of q's dtype ", q.dtype(), ", got ",
        visible.dtype());
  return matmul(softmax(scores + mask, -1), v);
}

Variable attention_channels_first(const Variable& q, const Variable& k, const Variable& v, int64_t heads) {
  constexpr const char* op = "attention_channels_first";
  require_floats(op, {q, k, v});
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
