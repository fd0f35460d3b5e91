// Rows of resampling and pooling ("autograd/ops/resample.h").
#include <algorithm>

#include "autograd/ops/resample.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Values = std::span<const Tensor>;

Shape image(Draw& d, int64_t least = 1) {
  if (d.sizes() == Sizes::any && d.chance(0.05)) return {2, 32, 32, 32};
  const int64_t most = d.sizes() == Sizes::any ? 13 : least + 1;
  return {d.batch(3), d.size(3), d.integer(least, most), d.integer(least, most)};
}

Pair2d factor(Draw& d) { return d.chance(0.6) ? Pair2d(d.integer(1, 3)) : Pair2d(d.integer(1, 3), d.integer(1, 2)); }

// out[n, c, p, q] = f(plane, p, q) for every plane (H * W values) of the input.
template <class F>
Tensor by_planes(const Tensor& x, int64_t rows, int64_t columns, F f) {
  Tensor out = empty({x.size(0), x.size(1), rows, columns}, DType::f64);
  const auto values = x.to_vector();
  const int64_t pixels = x.size(2) * x.size(3);
  double* to = out.mutable_data<double>();
  for (int64_t plane = 0; plane < x.size(0) * x.size(1); ++plane) {
    for (int64_t p = 0; p < rows; ++p) {
      for (int64_t q = 0; q < columns; ++q) *to++ = f(values.data() + plane * pixels, p, q);
    }
  }
  return out;
}

// ---- interpolation ----

// The value between pixels at (y, x), with edges repeated: PyTorch's rules, written without tables.
double sample_at(const double* plane, int64_t height, int64_t width, double y, double x, Interpolation mode) {
  const auto weight = [mode](double distance) {
    const double t = std::abs(distance);
    if (mode == Interpolation::bilinear) return std::max(0.0, 1 - t);
    if (t <= 1) return 1.25 * t * t * t - 2.25 * t * t + 1;
    return t < 2 ? -0.75 * t * t * t + 3.75 * t * t - 6 * t + 3 : 0;
  };
  double sum = 0;
  for (auto i = static_cast<int64_t>(std::floor(y)) - 1; i < static_cast<int64_t>(std::floor(y)) + 3; ++i) {
    for (auto j = static_cast<int64_t>(std::floor(x)) - 1; j < static_cast<int64_t>(std::floor(x)) + 3; ++j) {
      sum += weight(y - static_cast<double>(i)) * weight(x - static_cast<double>(j)) *
             plane[std::clamp<int64_t>(i, 0, height - 1) * width + std::clamp<int64_t>(j, 0, width - 1)];
    }
  }
  return sum;
}

double source(int64_t i, int64_t size, int64_t to, bool align_corners) {
  if (align_corners) return to == 1 ? 0 : static_cast<double>(i * (size - 1)) / static_cast<double>(to - 1);
  return (static_cast<double>(i) + 0.5) * static_cast<double>(size) / static_cast<double>(to) - 0.5;
}

Tensor interpolated(const Tensor& x, int64_t rows, int64_t columns, Interpolation mode, bool align_corners) {
  const int64_t height = x.size(2), width = x.size(3);
  return by_planes(x, rows, columns, [&](const double* plane, int64_t p, int64_t q) {
    if (mode == Interpolation::nearest) return plane[p * height / rows * width + q * width / columns];
    return sample_at(plane, height, width, source(p, height, rows, align_corners),
                     source(q, width, columns, align_corners), mode);
  });
}

using Upsample = Variable (*)(const Variable&, const Pair2d&, bool);

Row upsampling(const char* name, Upsample f, Interpolation mode) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                const Pair2d scale = factor(d);
                const bool align = mode != Interpolation::nearest && d.chance(0.3);
                return Sample{.inputs = {d.normal(image(d))},
                              .call = [=](Inputs x) { return f(x[0], scale, align); },
                              .formula =
                                  [=](Values x) {
                                    return interpolated(x[0], x[0].size(2) * scale.height, x[0].size(3) * scale.width,
                                                        mode, align);
                                  }};
              },
          .misuses = {{"(N, C, H, W), got (4, 4)",
                       [=] {
                         f(f32_of({4, 4}), 2, false);
                       }},
                      {"scale must be at least 1, got 0", [=] {
                         f(f32_of({1, 1, 4, 4}), 0, false);
                       }}}};
}

Sample draw_nearest_backward(Draw& d) {
  const Pair2d scale = factor(d);
  Shape s = image(d);
  const int64_t height = s[2], width = s[3];
  s[2] *= scale.height;
  s[3] *= scale.width;
  return {.inputs = {d.normal(s)},
          .call = [=](Inputs x) { return upsample_nearest2d_backward(x[0], scale); },
          .formula =
              [=](Values x) {
                return by_planes(x[0], height, width, [&](const double* plane, int64_t p, int64_t q) {
                  double sum = 0;
                  for (int64_t r = 0; r < scale.height; ++r) {
                    for (int64_t c = 0; c < scale.width; ++c) {
                      sum += plane[(p * scale.height + r) * width * scale.width + q * scale.width + c];
                    }
                  }
                  return sum;
                });
              }};
}

Sample draw_interpolate(Draw& d) {
  const auto mode = d.pick({Interpolation::nearest, Interpolation::bilinear, Interpolation::bicubic});
  const Pair2d size(d.integer(1, 9), d.integer(1, 9));
  const bool align = mode != Interpolation::nearest && d.chance();
  return {.inputs = {d.normal(image(d))},
          .call = [=](Inputs x) { return interpolate(x[0], size, mode, align); },
          .formula = [=](Values x) { return interpolated(x[0], size.height, size.width, mode, align); }};
}

Sample draw_resample_dim(Draw& d) {
  const Shape shape = d.sizes() == Sizes::empty ? Shape{0, 3} : Shape{d.size(17), d.size(17), d.size(17)};
  const int64_t dim = d.sizes() == Sizes::empty ? 1 : d.integer(-3, 2);
  AxisMap map;
  map.inputs = shape[normalize_dim("draw", dim, shape.rank())];
  const int64_t outputs = d.integer(1, 7);
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t t = d.integer(0, 3); t > 0; --t)
      map.add_term(d.integer(0, map.inputs - 1), 0.25 * static_cast<double>(t));
    map.end_output();
  }
  return {.inputs = {d.normal(shape)}, .call = [=](Inputs x) { return resample_dim(x[0], dim, map); }};
}

// ---- pooling ----

struct Pool {
  Pair2d kernel = 1;
  Pool2dOptions o;
};

Pool draw_pool(Draw& d, bool dilates) {
  Pool p;
  p.kernel = d.chance() ? Pair2d(d.integer(1, 3)) : Pair2d(d.integer(1, 3), d.integer(1, 3));
  p.o.stride = d.chance(0.3) ? Pair2d(0) : Pair2d(d.integer(1, 3), d.integer(1, 3));
  p.o.padding = {d.integer(0, p.kernel.height / 2), d.integer(0, p.kernel.width / 2)};
  p.o.ceil_mode = d.chance();
  p.o.count_include_pad = d.chance();
  if (dilates && d.chance(0.3)) p.o.dilation = {d.integer(1, 2), d.integer(1, 2)};
  return p;
}

int64_t windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode) {
  int64_t count = 0;
  const int64_t reach = dilation * (kernel - 1) + 1;
  for (int64_t start = -padding; start + reach <= size + padding; start += stride) ++count;
  // In ceil mode one more, that reaches over the end but begins before the padding there.
  const int64_t next = count * stride - padding;
  return ceil_mode && next < size && (count == 0 || next - stride + reach < size + padding) ? count + 1 : count;
}

// Average (dilation 1) or maximum of every window.
Tensor pooled(const Tensor& x, const Pool& pool, bool maximum) {
  const auto& [kernel, o] = pool;
  const Pair2d stride(o.stride.height == 0 ? kernel.height : o.stride.height,
                      o.stride.width == 0 ? kernel.width : o.stride.width);
  const int64_t height = x.size(2), width = x.size(3);
  const int64_t rows = windows(height, kernel.height, stride.height, o.padding.height, o.dilation.height, o.ceil_mode);
  const int64_t columns = windows(width, kernel.width, stride.width, o.padding.width, o.dilation.width, o.ceil_mode);
  return by_planes(x, rows, columns, [&](const double* plane, int64_t p, int64_t q) {
    double sum = 0, best = -INFINITY;
    int64_t pixels = 0, with_padding = 0;
    for (int64_t r = 0; r < kernel.height; ++r) {
      for (int64_t s = 0; s < kernel.width; ++s) {
        const int64_t h = p * stride.height - o.padding.height + r * o.dilation.height;
        const int64_t w = q * stride.width - o.padding.width + s * o.dilation.width;
        with_padding += h < height + o.padding.height && w < width + o.padding.width;
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        ++pixels;
        sum += plane[h * width + w];
        best = std::max(best, plane[h * width + w]);
      }
    }
    return maximum ? best : sum / static_cast<double>(o.count_include_pad ? with_padding : pixels);
  });
}

template <class F>
Row pooling(const char* name, bool maximum, F f) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                const Pool p = draw_pool(d, maximum);
                const Shape shape = image(d, 5);
                // bf16 holds no 3000 distinct numbers: equal maxima are fine for values, and only they are drawn large.
                return Sample{.inputs = {maximum && d.sizes() == Sizes::small ? d.distinct(shape) : d.normal(shape)},
                              .call = [=](Inputs x) { return f(x[0], p.kernel, p.o); },
                              .formula = [=](Values x) { return pooled(x[0], p, maximum); }};
              },
          .misuses = {{"(N, C, H, W), got (4, 5)",
                       [=] {
                         f(f32_of({4, 5}), 2, {});
                       }},
                      {"kernel 5 is larger than the padded input's height 4",
                       [=] {
                         f(f32_of({1, 1, 4, 5}), 5, {});
                       }},
                      {"kernel must be at least 1",
                       [=] {
                         f(f32_of({1, 1, 4, 5}), 0, {});
                       }},
                      {"stride must be at least 1, got -1",
                       [=] {
                         f(f32_of({1, 1, 4, 5}), 2, {.stride = -1});
                       }},
                      {"padding must be in 0..kernel/2, got 2 with kernel 2",
                       [=] {
                         f(f32_of({1, 1, 4, 5}), 2, {.padding = 2});
                       }},
                      {"no pixels in width", [=] {
                         f(f32_of({1, 1, 4, 0}), 1, {});
                       }}}};
}

template <class F>
Row adaptive(const char* name, bool maximum, F f) {
  return {.name = name,
          .draw =
              [=](Draw& d) {
                const Pair2d size = d.chance(0.3) ? Pair2d(1) : Pair2d(d.integer(1, 5), d.integer(1, 5));
                const Shape shape = image(d, 2);
                return Sample{.inputs = {maximum && d.sizes() == Sizes::small ? d.distinct(shape) : d.normal(shape)},
                              .call = [=](Inputs x) { return f(x[0], size); },
                              .formula =
                                  [=](Values x) {
                                    const int64_t height = x[0].size(2), width = x[0].size(3);
                                    return by_planes(
                                        x[0], size.height, size.width, [&](const double* plane, int64_t p, int64_t q) {
                                          double sum = 0, best = -INFINITY;
                                          int64_t count = 0;
                                          for (int64_t h = 0; h < height; ++h) {
                                            for (int64_t w = 0; w < width; ++w) {
                                              // h lies in window p when the two intervals of the unit line overlap.
                                              const bool in_row = h * size.height < (p + 1) * height &&
                                                                  (h + 1) * size.height > p * height;
                                              const bool in_column =
                                                  w * size.width < (q + 1) * width && (w + 1) * size.width > q * width;
                                              if (!in_row || !in_column) continue;
                                              ++count;
                                              sum += plane[h * width + w];
                                              best = std::max(best, plane[h * width + w]);
                                            }
                                          }
                                          return maximum ? best : sum / static_cast<double>(count);
                                        });
                                  }};
              },
          .misuses = {{"(N, C, H, W), got (4, 5)", [=] {
                         f(f32_of({4, 5}), 2);
                       }}}};
}

}  // namespace

std::vector<Row> resample_rows() {
  const Tensor x = f32_of({1, 1, 4, 5});
  return {
      upsampling(
          "upsample_nearest2d", [](const Variable& v, const Pair2d& s, bool) { return upsample_nearest2d(v, s); },
          Interpolation::nearest),
      {.name = "upsample_nearest2d_backward",
       .draw = draw_nearest_backward,
       .misuses = {{"no image enlarged by 2", [=] { upsample_nearest2d_backward(x, 2); }}}},
      upsampling("upsample_bilinear2d", upsample_bilinear2d, Interpolation::bilinear),
      upsampling("upsample_bicubic2d", upsample_bicubic2d, Interpolation::bicubic),
      {.name = "interpolate",
       .draw = draw_interpolate,
       .misuses = {{"size must be at least 1", [=] { interpolate(x, 0, Interpolation::bilinear); }},
                   {"(N, C, H, W)", [] { interpolate(f32_of({2}), 2, Interpolation::nearest); }}}},
      {.name = "resample_dim",
       .draw = draw_resample_dim,
       .misuses = {{"the map is of 3 entries",
                    [=] { resample_dim(x, 2, interpolation_map(Interpolation::nearest, 3, 6)); }}}},
      pooling("avg_pool2d", false,
              [](const Variable& v, const Pair2d& k, const Pool2dOptions& o) { return avg_pool2d(v, k, o); }),
      pooling("max_pool2d", true,
              [](const Variable& v, const Pair2d& k, const Pool2dOptions& o) { return max_pool2d(v, k, o); }),
      adaptive("adaptive_avg_pool2d", false,
               [](const Variable& v, const Pair2d& s) { return adaptive_avg_pool2d(v, s); }),
      adaptive("adaptive_max_pool2d", true,
               [](const Variable& v, const Pair2d& s) { return adaptive_max_pool2d(v, s); }),
  };
}

}  // namespace sfumato::testing
