// Changing an image's resolution: nearest, bilinear and bicubic resampling, average and max pooling.
//
//   Tensor big = upsample_nearest2d(x, 2);                          // (N, C, H, W) -> (N, C, 2H, 2W)
//   Tensor half = avg_pool2d(x, 3, {.stride = 2, .padding = 1});
//
// Everything but max pooling and nearest upsampling is a weighted sum of a few entries along one dimension after the
// other: resample_dim() with an AxisMap. Dtypes are f32, f64 and bf16 (computed in f32, rounded once per dimension).
#pragma once

#include <memory>
#include <vector>

#include "tensor/pair.h"
#include "tensor/tensor.h"

namespace sfumato {

// A sparse matrix (outputs x inputs): output o is the sum of weight[t] * x[index[t]] for begin[o] <= t < begin[o + 1].
struct AxisMap {
  int64_t inputs = 0;
  std::vector<int64_t> begin = {0}, index;
  std::vector<double> weight;
  int64_t outputs() const { return static_cast<int64_t>(begin.size()) - 1; }
  // Terms are added to the last output; end_output() closes it.
  void add_term(int64_t input, double share);
  void end_output() { begin.push_back(static_cast<int64_t>(index.size())); }
  AxisMap transposed() const;
};

// Applies the map along dimension `dim` of x, whose size must be map.inputs.
Tensor resample_dim(const Tensor& x, int64_t dim, const AxisMap& map);

enum class Interpolation { nearest, bilinear, bicubic };
// How `size` pixels become `to`. Pixel centres lie at i + 1/2; with align_corners the first and last pixels of input
// and output coincide (PyTorch's two conventions; nearest has none). bicubic uses Keys' kernel with a = -3/4.
AxisMap interpolation_map(Interpolation mode, int64_t size, int64_t to, bool align_corners = false);

// By whole factors, one or (height, width).
Tensor upsample_nearest2d(const Tensor& x, const Pair2d& scale);
// Sums each pixel's copies.
Tensor upsample_nearest2d_backward(const Tensor& dy, const Pair2d& scale);

// ---- pooling ----

struct Pool2dOptions {
  Pair2d stride = 0;  // 0: the kernel's size, so that windows do not overlap
  Pair2d padding = 0;
  Pair2d dilation = 1;            // max pooling only
  bool ceil_mode = false;         // a last window that begins inside the padded image but ends outside counts
  bool count_include_pad = true;  // average pooling: padding counts as zeros; else only pixels are averaged
};

// How average pooling takes `size` pixels to windows; PyTorch's rule for windows that reach over the padding.
AxisMap avg_pool_map(const char* op,
                     const char* axis,
                     int64_t size,
                     int64_t kernel,
                     int64_t stride,
                     int64_t padding,
                     bool ceil_mode,
                     bool count_include_pad);
// `size` pixels in `to` windows that cover them evenly: window o is floor(o size / to) .. ceil((o + 1) size / to).
AxisMap adaptive_pool_map(int64_t size, int64_t to);

struct MaxPoolResult {
  Tensor out;
  Tensor index;  // i64, where each maximum lies in its H*W plane (the first among equals)
};
// Padding counts as minus infinity.
MaxPoolResult max_pool2d(const Tensor& x, const Pair2d& kernel, const Pool2dOptions& options = {});
MaxPoolResult adaptive_max_pool2d(const Tensor& x, const Pair2d& size);

}  // namespace sfumato
