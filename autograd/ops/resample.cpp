#include "autograd/ops/resample.h"

#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {

Variable upsample_nearest2d(const Variable& x, int64_t scale) {
  return record("upsample_nearest2d", upsample_nearest2d(x.tensor(), scale),
                wrt(x, [scale](const Variable& g) { return upsample_nearest2d_backward(g, scale); }));
}

Variable upsample_nearest2d_backward(const Variable& dy, int64_t scale) {
  return record("upsample_nearest2d_backward", upsample_nearest2d_backward(dy.tensor(), scale),
                wrt(dy, [scale](const Variable& g) { return upsample_nearest2d(g, scale); }));
}

Variable upsample_bilinear2d(const Variable& x, int64_t scale, bool align_corners) {
  return record("upsample_bilinear2d", upsample_bilinear2d(x.tensor(), scale, align_corners),
                wrt(x, [scale, align_corners](const Variable& g) {
                  return upsample_bilinear2d_backward(g, scale, align_corners);
                }));
}

Variable upsample_bilinear2d_backward(const Variable& dy, int64_t scale, bool align_corners) {
  return record(
      "upsample_bilinear2d_backward", upsample_bilinear2d_backward(dy.tensor(), scale, align_corners),
      wrt(dy, [scale, align_corners](const Variable& g) { return upsample_bilinear2d(g, scale, align_corners); }));
}

Variable avg_pool2d(const Variable& x, int64_t kernel, int64_t stride) {
  return record("avg_pool2d", avg_pool2d(x.tensor(), kernel, stride),
                wrt(x, [kernel, stride, from = x.shape()](const Variable& g) {
                  return avg_pool2d_backward(g, from, kernel, stride);
                }));
}

Variable avg_pool2d_backward(const Variable& dy, const Shape& input_shape, int64_t kernel, int64_t stride) {
  return record("avg_pool2d_backward", avg_pool2d_backward(dy.tensor(), input_shape, kernel, stride),
                wrt(dy, [kernel, stride](const Variable& g) { return avg_pool2d(g, kernel, stride); }));
}

// Given where the maxima lie, pooling is a gather on the flattened planes, and its gradient a scatter.
Variable max_pool2d(const Variable& x, int64_t kernel, int64_t stride, int64_t padding) {
  const MaxPoolResult r = max_pool2d(x.tensor(), kernel, stride, padding);
  return record("max_pool2d", r.out, wrt(x, [index = save(r.index), from = x.shape()](const Variable& g) {
                  const Shape windows{from[0], from[1], g.size(2) * g.size(3)};
                  const Shape planes{from[0], from[1], from[2] * from[3]};
                  const Tensor flat = index().tensor().reshape(windows);
                  return reshape(scatter_add(reshape(g, windows), 2, flat, planes), from);
                }));
}

}  // namespace sfumato
