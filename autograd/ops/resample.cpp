#include "autograd/ops/resample.h"

#include "autograd/ops/index.h"
#include "autograd/ops/require.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {
namespace {

void require_image(const char* op, const Variable& x) {
  require_floats(op, {x});
  check(x.dim() == 4, op, ": input must be (N, C, H, W), got ", x.shape());
}

// The narrower image comes between: first the dimension that shrinks, or grows less.
Variable resample_both(const Variable& x, const AxisMap& rows, const AxisMap& columns) {
  if (rows.outputs() * columns.inputs <= columns.outputs() * rows.inputs) {
    return resample_dim(resample_dim(x, 2, rows), 3, columns);
  }
  return resample_dim(resample_dim(x, 3, columns), 2, rows);
}

Variable upsample(const char* op, const Variable& x, const Pair2d& scale, Interpolation mode, bool align_corners) {
  require_image(op, x);
  check_at_least(op, "scale", 1, scale);
  return resample_both(x, interpolation_map(mode, x.size(2), x.size(2) * scale.height, align_corners),
                       interpolation_map(mode, x.size(3), x.size(3) * scale.width, align_corners));
}

// Given where the maxima lie, pooling is a gather on the flattened planes, and its gradient a scatter.
Variable record_max_pool(const char* op, const Variable& x, const MaxPoolResult& r) {
  return record(op, r.out, wrt(x, [index = save(r.index), from = x.shape()](const Variable& g) {
                  const Shape windows{from[0], from[1], g.size(2) * g.size(3)};
                  const Shape planes{from[0], from[1], from[2] * from[3]};
                  const Tensor flat = index().tensor().reshape(windows);
                  return reshape(scatter_add(reshape(g, windows), 2, flat, planes), from);
                }));
}

}  // namespace

Variable resample_dim(const Variable& x, int64_t dim, const AxisMap& map) {
  return record("resample_dim", resample_dim(x.tensor(), dim, map),
                wrt(x, [dim, map](const Variable& g) { return resample_dim(g, dim, map.transposed()); }));
}

Variable upsample_nearest2d(const Variable& x, const Pair2d& scale) {
  return record("upsample_nearest2d", upsample_nearest2d(x.tensor(), scale),
                wrt(x, [scale](const Variable& g) { return upsample_nearest2d_backward(g, scale); }));
}

Variable upsample_nearest2d_backward(const Variable& dy, const Pair2d& scale) {
  return record("upsample_nearest2d_backward", upsample_nearest2d_backward(dy.tensor(), scale),
                wrt(dy, [scale](const Variable& g) { return upsample_nearest2d(g, scale); }));
}

Variable upsample_bilinear2d(const Variable& x, const Pair2d& scale, bool align_corners) {
  return upsample("upsample_bilinear2d", x, scale, Interpolation::bilinear, align_corners);
}

Variable upsample_bicubic2d(const Variable& x, const Pair2d& scale, bool align_corners) {
  return upsample("upsample_bicubic2d", x, scale, Interpolation::bicubic, align_corners);
}

Variable interpolate(const Variable& x, const Pair2d& size, Interpolation mode, bool align_corners) {
  require_image("interpolate", x);
  check_at_least("interpolate", "size", 1, size);
  return resample_both(x, interpolation_map(mode, x.size(2), size.height, align_corners),
                       interpolation_map(mode, x.size(3), size.width, align_corners));
}

Variable avg_pool2d(const Variable& x, const Pair2d& kernel, const Pool2dOptions& options) {
  constexpr const char* op = "avg_pool2d";
  require_image(op, x);
  check(options.dilation == Pair2d(1), op, ": dilation is for max_pool2d, got ", options.dilation);
  const auto axis = [&](const char* name, int64_t size, int64_t window, int64_t stride, int64_t padding) {
    return avg_pool_map(op, name, size, window, stride, padding, options.ceil_mode, options.count_include_pad);
  };
  return resample_both(x, axis("height", x.size(2), kernel.height, options.stride.height, options.padding.height),
                       axis("width", x.size(3), kernel.width, options.stride.width, options.padding.width));
}

Variable adaptive_avg_pool2d(const Variable& x, const Pair2d& size) {
  require_image("adaptive_avg_pool2d", x);
  return resample_both(x, adaptive_pool_map(x.size(2), size.height), adaptive_pool_map(x.size(3), size.width));
}

Variable max_pool2d(const Variable& x, const Pair2d& kernel, const Pool2dOptions& options) {
  return record_max_pool("max_pool2d", x, max_pool2d(x.tensor(), kernel, options));
}

Variable adaptive_max_pool2d(const Variable& x, const Pair2d& size) {
  return record_max_pool("adaptive_max_pool2d", x, adaptive_max_pool2d(x.tensor(), size));
}

}  // namespace sfumato
