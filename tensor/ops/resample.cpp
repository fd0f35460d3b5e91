#include "tensor/ops/resample.h"

#include <algorithm>
#include <cmath>

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/ops/index.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

void check_images(const char* op, const Tensor& x) {
  check(x.defined(), op, ": the input is undefined");
  check_dtype(op, kFloats, x.dtype());
  check(x.dim() == 4, op, ": input must be (N, C, H, W), got ", x.shape());
}

// Where output i of a resampled line lies between the input's pixels. Pixel centres are at i + 1/2, so it is at
// (i + 1/2) * size / to - 1/2; with align_corners both lines' ends meet instead.
double source_position(int64_t i, int64_t size, int64_t to, bool align_corners) {
  const auto at = static_cast<double>(i);
  if (align_corners) {
    return to > 1 ? at * static_cast<double>(size - 1) / static_cast<double>(to - 1) : 0.0;
  }
  return (at + 0.5) * static_cast<double>(size) / static_cast<double>(to) - 0.5;
}

void add_linear_terms(AxisMap& map, double at) {
  at = std::max(at, 0.0);
  const int64_t low = std::min(static_cast<int64_t>(at), map.inputs - 1), high = std::min(low + 1, map.inputs - 1);
  const double share = at - static_cast<double>(low);
  map.add_term(low, 1 - share);
  map.add_term(high, share);
}

// Keys' cubic convolution kernel.
double cubic_weight(double distance) {
  constexpr double a = -0.75;
  const double d = std::abs(distance);
  if (d <= 1) {
    return ((a + 2) * d - (a + 3)) * d * d + 1;
  }
  return d < 2 ? a * (((d - 5) * d + 8) * d - 4) : 0;
}

// Four neighbours; those outside are the edge's pixel.
void add_cubic_terms(AxisMap& map, double at) {
  const auto first = static_cast<int64_t>(std::floor(at)) - 1;
  for (int64_t i = first; i < first + 4; ++i) {
    map.add_term(std::clamp<int64_t>(i, 0, map.inputs - 1), cubic_weight(at - static_cast<double>(i)));
  }
}

// Sums along the middle dimension of (outer, inputs, inner), kept in f64.
template <class T>
void apply_map(const AxisMap& map, int64_t outer, int64_t inner, const T* in, T* out) {
  const int64_t outputs = map.outputs();
  const int64_t grain =
      1 + 16384 / std::max<int64_t>(1, inner * (static_cast<int64_t>(map.index.size()) / outputs + 1));
  parallel_for(outer * outputs, grain, [&](int64_t first, int64_t last) {
    std::vector<double> sums(static_cast<size_t>(inner));
    for (int64_t row = first; row < last; ++row) {
      const T* lines = in + row / outputs * map.inputs * inner;
      const auto o = static_cast<size_t>(row % outputs);
      std::fill(sums.begin(), sums.end(), 0.0);
      for (auto t = static_cast<size_t>(map.begin[o]); t < static_cast<size_t>(map.begin[o + 1]); ++t) {
        const T* line = lines + map.index[t] * inner;
        const double weight = map.weight[t];
        for (int64_t i = 0; i < inner; ++i) {
          sums[static_cast<size_t>(i)] += weight * static_cast<double>(line[i]);
        }
      }
      std::transform(sums.begin(), sums.end(), out + row * inner, [](double sum) { return static_cast<T>(sum); });
    }
  });
}

}  // namespace

void AxisMap::add_term(int64_t input, double share) {
  if (share != 0) {
    index.push_back(input);
    weight.push_back(share);
  }
}

AxisMap AxisMap::transposed() const {
  AxisMap result;
  result.inputs = outputs();
  result.begin.assign(static_cast<size_t>(inputs) + 1, 0);
  for (const int64_t i : index) {
    ++result.begin[static_cast<size_t>(i) + 1];
  }
  for (size_t i = 1; i < result.begin.size(); ++i) {
    result.begin[i] += result.begin[i - 1];
  }
  result.index.resize(index.size());
  result.weight.resize(index.size());
  std::vector<int64_t> next(result.begin.begin(), result.begin.end() - 1);
  for (int64_t o = 0; o < outputs(); ++o) {
    for (auto t = static_cast<size_t>(begin[static_cast<size_t>(o)]);
         t < static_cast<size_t>(begin[static_cast<size_t>(o) + 1]); ++t) {
      const auto place = static_cast<size_t>(next[static_cast<size_t>(index[t])]++);
      result.index[place] = o;
      result.weight[place] = weight[t];
    }
  }
  return result;
}

Tensor resample_dim(const Tensor& x, int64_t dim, const AxisMap& map) {
  check(x.defined(), "resample_dim: the input is undefined");
  check_dtype("resample_dim", kFloats, x.dtype());
  const int d = normalize_dim("resample_dim", dim, x.dim());
  check(x.shape()[d] == map.inputs, "resample_dim: the map is of ", map.inputs, " entries but dimension ", dim, " of ",
        x.shape(), " has ", x.shape()[d]);
  Shape shape = x.shape();
  shape[d] = map.outputs();
  Tensor out = Tensor::empty(shape, x.dtype());
  if (out.numel() == 0) {
    return out;
  }
  if (x.dtype() == DType::bf16) {
    return resample_dim(x.to(DType::f32), dim, map).to(DType::bf16);
  }
  report_cost("resample_dim", {&x, &out});
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.dim(); ++i) {
    (i < d ? outer : inner) *= i == d ? 1 : shape[i];
  }
  const Tensor plain = x.contiguous();
  dispatch<kReals>("resample_dim", x.dtype(),
                   [&]<class T>() { apply_map(map, outer, inner, plain.data<T>(), out.mutable_data<T>()); });
  return out;
}

AxisMap interpolation_map(Interpolation mode, int64_t size, int64_t to, bool align_corners) {
  check(to >= 0 && (size >= 1 || to == 0), "interpolate: cannot make ", to, " pixels of ", size);
  AxisMap map;
  map.inputs = size;
  for (int64_t i = 0; i < to; ++i) {
    if (mode == Interpolation::nearest) {
      map.add_term(i * size / to, 1);
    } else {
      const double at = source_position(i, size, to, align_corners);
      mode == Interpolation::bilinear ? add_linear_terms(map, at) : add_cubic_terms(map, at);
    }
    map.end_output();
  }
  return map;
}

// ---- nearest ----

Tensor upsample_nearest2d(const Tensor& x, const Pair2d& scale) {
  constexpr const char* op = "upsample_nearest2d";
  check_images(op, x);
  check_at_least(op, "scale", 1, scale);
  if (x.dtype() == DType::bf16) {
    return upsample_nearest2d(x.to(DType::f32), scale).to(DType::bf16);
  }
  const Shape& s = x.shape();
  if (scale.height != scale.width) {
    const Tensor wide = resample_dim(x, 3, interpolation_map(Interpolation::nearest, s[3], s[3] * scale.width));
    return resample_dim(wide, 2, interpolation_map(Interpolation::nearest, s[2], s[2] * scale.height));
  }
  Tensor out = Tensor::empty({s[0], s[1], s[2] * scale.height, s[3] * scale.width}, x.dtype());
  report_cost(op, {&x, &out});
  use_fast(x.dtype()) ? fast::upsample_nearest2d(x.contiguous(), scale.height, out)
                      : reference::upsample_nearest2d(x.contiguous(), scale.height, out);
  return out;
}

Tensor upsample_nearest2d_backward(const Tensor& dy, const Pair2d& scale) {
  constexpr const char* op = "upsample_nearest2d_backward";
  check_images(op, dy);
  check_at_least(op, "scale", 1, scale);
  const Shape& s = dy.shape();
  check(s[2] % scale.height == 0 && s[3] % scale.width == 0, op, ": ", s, " is no image enlarged by ", scale);
  if (dy.dtype() == DType::bf16) {
    return upsample_nearest2d_backward(dy.to(DType::f32), scale).to(DType::bf16);
  }
  const int64_t height = s[2] / scale.height, width = s[3] / scale.width;
  if (scale.height != scale.width) {
    const Tensor narrow = resample_dim(dy, 2, interpolation_map(Interpolation::nearest, height, s[2]).transposed());
    return resample_dim(narrow, 3, interpolation_map(Interpolation::nearest, width, s[3]).transposed());
  }
  Tensor dx = Tensor::empty({s[0], s[1], height, width}, dy.dtype());
  report_cost(op, {&dy, &dx});
  use_fast(dy.dtype()) ? fast::upsample_nearest2d_backward(dy.contiguous(), scale.height, dx)
                       : reference::upsample_nearest2d_backward(dy.contiguous(), scale.height, dx);
  return dx;
}

}  // namespace sfumato
