#include "tensor/ops/resample.h"

#include <limits>

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

void check_images(const char* op, const Tensor& x) {
  check(x.dim() == 4, op, ": input must be (N, C, H, W), got ", x.shape());
}

void check_scale(const char* op, int64_t scale) { check(scale >= 1, op, ": scale must be at least 1, got ", scale); }

Shape enlarged(const Shape& s, int64_t scale) { return {s[0], s[1], s[2] * scale, s[3] * scale}; }

Shape shrunk(const char* op, const Shape& s, int64_t scale) {
  check(s[2] % scale == 0 && s[3] % scale == 0, op, ": ", s, " is no image enlarged by ", scale);
  return {s[0], s[1], s[2] / scale, s[3] / scale};
}

// Calls f(plane) for each of the N * C planes, in parallel. `larger` is the op's larger side, which sets the work.
template <class F>
void for_each_plane(const Tensor& larger, F&& f) {
  constexpr int64_t kGrain = 4096;  // pixels below which a second thread does not pay
  const int64_t pixels = std::max<int64_t>(larger.size(2) * larger.size(3), 1);
  parallel_for(larger.size(0) * larger.size(1), std::max<int64_t>(kGrain / pixels, 1), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      f(plane);
    }
  });
}

// Where output i of an enlarged line lies between the input's pixels. Pixel centres are at i + 1/2, so it is at
// (i + 1/2) / scale - 1/2, clamped to the first pixel; with align_corners both lines' ends meet instead.
double source_position(int64_t i, int64_t scale, int64_t size, bool align_corners) {
  if (align_corners) {
    const int64_t last = size * scale - 1;
    return last > 0 ? static_cast<double>(i) * static_cast<double>(size - 1) / static_cast<double>(last) : 0.0;
  }
  return std::max(0.0, (static_cast<double>(i) + 0.5) / static_cast<double>(scale) - 0.5);
}

// What an enlarged coordinate reads: (1 - share) * x[low] + share * x[high].
struct Tap {
  int64_t low, high;
  double share;
  Tap(int64_t i, int64_t scale, int64_t size, bool align_corners) {
    const double at = source_position(i, scale, size, align_corners);
    low = std::min(static_cast<int64_t>(at), size - 1);
    high = std::min(low + 1, size - 1);
    share = at - static_cast<double>(low);
  }
};

// Calls f(output pixel, input pixel, weight) for the four inputs of every output pixel of a plane.
template <class F>
void for_each_bilinear_term(int64_t height, int64_t width, int64_t scale, bool align_corners, F&& f) {
  for (int64_t p = 0; p < height * scale; ++p) {
    const Tap y(p, scale, height, align_corners);
    for (int64_t q = 0; q < width * scale; ++q) {
      const Tap x(q, scale, width, align_corners);
      const int64_t out = p * width * scale + q;
      f(out, y.low * width + x.low, (1 - y.share) * (1 - x.share));
      f(out, y.low * width + x.high, (1 - y.share) * x.share);
      f(out, y.high * width + x.low, y.share * (1 - x.share));
      f(out, y.high * width + x.high, y.share * x.share);
    }
  }
}

int64_t pooled_size(const char* op, const char* axis, int64_t size, int64_t kernel, int64_t stride, int64_t padding) {
  check(size + 2 * padding >= kernel, op, ": kernel ", kernel, " is larger than the padded input's ", axis, " ",
        size + 2 * padding);
  return (size + 2 * padding - kernel) / stride + 1;
}

Shape pooled_shape(const char* op, const Shape& s, int64_t kernel, int64_t stride, int64_t padding) {
  check(kernel >= 1, op, ": kernel must be at least 1, got ", kernel);
  check(stride >= 1, op, ": stride must be at least 1, got ", stride);
  check(padding >= 0 && 2 * padding <= kernel, op, ": padding must be in 0..kernel/2, got ", padding, " with kernel ",
        kernel);
  return {s[0], s[1], pooled_size(op, "height", s[2], kernel, stride, padding),
          pooled_size(op, "width", s[3], kernel, stride, padding)};
}

}  // namespace

Tensor upsample_nearest2d(const Tensor& x, int64_t scale) {
  check_images("upsample_nearest2d", x);
  check_scale("upsample_nearest2d", scale);
  Tensor out = Tensor::empty(enlarged(x.shape(), scale), x.dtype());
  report_cost("upsample_nearest2d", {&x, &out});
  use_fast(x.dtype()) ? fast::upsample_nearest2d(x.contiguous(), scale, out)
                      : reference::upsample_nearest2d(x.contiguous(), scale, out);
  return out;
}

Tensor upsample_nearest2d_backward(const Tensor& dy, int64_t scale) {
  check_images("upsample_nearest2d_backward", dy);
  check_scale("upsample_nearest2d_backward", scale);
  Tensor dx = Tensor::empty(shrunk("upsample_nearest2d_backward", dy.shape(), scale), dy.dtype());
  report_cost("upsample_nearest2d_backward", {&dy, &dx});
  use_fast(dy.dtype()) ? fast::upsample_nearest2d_backward(dy.contiguous(), scale, dx)
                       : reference::upsample_nearest2d_backward(dy.contiguous(), scale, dx);
  return dx;
}

Tensor upsample_bilinear2d(const Tensor& x, int64_t scale, bool align_corners) {
  check_images("upsample_bilinear2d", x);
  check_scale("upsample_bilinear2d", scale);
  Tensor out = zeros(enlarged(x.shape(), scale), x.dtype());
  const Tensor plain = x.contiguous();
  dispatch<kReals>("upsample_bilinear2d", x.dtype(), [&]<class T>() {
    const int64_t height = x.size(2);
    const int64_t width = x.size(3);
    const T* in = plain.data<T>();
    T* to = out.mutable_data<T>();
    for_each_plane(out, [&](int64_t plane) {
      const T* image = in + plane * height * width;
      T* result = to + plane * height * width * scale * scale;
      for_each_bilinear_term(height, width, scale, align_corners, [&](int64_t o, int64_t i, double weight) {
        result[o] += static_cast<T>(weight) * image[i];
      });
    });
  });
  return out;
}

Tensor upsample_bilinear2d_backward(const Tensor& dy, int64_t scale, bool align_corners) {
  check_images("upsample_bilinear2d_backward", dy);
  check_scale("upsample_bilinear2d_backward", scale);
  Tensor dx = zeros(shrunk("upsample_bilinear2d_backward", dy.shape(), scale), dy.dtype());
  const Tensor plain = dy.contiguous();
  dispatch<kReals>("upsample_bilinear2d_backward", dy.dtype(), [&]<class T>() {
    const int64_t height = dx.size(2);
    const int64_t width = dx.size(3);
    const T* from = plain.data<T>();
    T* to = dx.mutable_data<T>();
    for_each_plane(dy, [&](int64_t plane) {
      const T* gradient = from + plane * height * width * scale * scale;
      T* result = to + plane * height * width;
      for_each_bilinear_term(height, width, scale, align_corners, [&](int64_t o, int64_t i, double weight) {
        result[i] += static_cast<T>(weight) * gradient[o];
      });
    });
  });
  return dx;
}

Tensor avg_pool2d(const Tensor& x, int64_t kernel, int64_t stride) {
  check_images("avg_pool2d", x);
  Tensor out = Tensor::empty(pooled_shape("avg_pool2d", x.shape(), kernel, stride, 0), x.dtype());
  const Tensor plain = x.contiguous();
  dispatch<kReals>("avg_pool2d", x.dtype(), [&]<class T>() {
    const int64_t width = x.size(3);
    const int64_t rows = out.size(2);
    const int64_t columns = out.size(3);
    const T* in = plain.data<T>();
    T* to = out.mutable_data<T>();
    for_each_plane(x, [&](int64_t plane) {
      const T* image = in + plane * x.size(2) * width;
      for (int64_t p = 0; p < rows; ++p) {
        for (int64_t q = 0; q < columns; ++q) {
          T sum = 0;
          for (int64_t r = 0; r < kernel; ++r) {
            for (int64_t s = 0; s < kernel; ++s) {
              sum += image[(p * stride + r) * width + q * stride + s];
            }
          }
          to[(plane * rows + p) * columns + q] = sum / static_cast<T>(kernel * kernel);
        }
      }
    });
  });
  return out;
}

Tensor avg_pool2d_backward(const Tensor& dy, const Shape& input_shape, int64_t kernel, int64_t stride) {
  check_images("avg_pool2d_backward", dy);
  check(input_shape.rank() == 4, "avg_pool2d_backward: input must be (N, C, H, W), got ", input_shape);
  const Shape expected = pooled_shape("avg_pool2d_backward", input_shape, kernel, stride, 0);
  check(dy.shape() == expected, "avg_pool2d_backward: dy has shape ", dy.shape(), " but input ", input_shape,
        " gives an output of ", expected);
  Tensor dx = zeros(input_shape, dy.dtype());
  const Tensor plain = dy.contiguous();
  dispatch<kReals>("avg_pool2d_backward", dy.dtype(), [&]<class T>() {
    const int64_t width = input_shape[3];
    const int64_t rows = dy.size(2);
    const int64_t columns = dy.size(3);
    const T* from = plain.data<T>();
    T* to = dx.mutable_data<T>();
    for_each_plane(dx, [&](int64_t plane) {
      T* image = to + plane * input_shape[2] * width;
      for (int64_t p = 0; p < rows; ++p) {
        for (int64_t q = 0; q < columns; ++q) {
          const T share = from[(plane * rows + p) * columns + q] / static_cast<T>(kernel * kernel);
          for (int64_t r = 0; r < kernel; ++r) {
            for (int64_t s = 0; s < kernel; ++s) {
              image[(p * stride + r) * width + q * stride + s] += share;
            }
          }
        }
      }
    });
  });
  return dx;
}

namespace {

// The first largest pixel of a window, clipped to the image; NaN is larger than anything, as in PyTorch.
template <class T>
int64_t argmax_of_window(const T* image, int64_t height, int64_t width, int64_t top, int64_t left, int64_t kernel) {
  int64_t best = -1;
  for (int64_t h = std::max<int64_t>(top, 0); h < std::min(top + kernel, height); ++h) {
    for (int64_t w = std::max<int64_t>(left, 0); w < std::min(left + kernel, width); ++w) {
      const int64_t i = h * width + w;
      if (best < 0 || image[i] > image[best] || (image[i] != image[i] && image[best] == image[best])) {
        best = i;
      }
    }
  }
  return best;
}

}  // namespace

MaxPoolResult max_pool2d(const Tensor& x, int64_t kernel, int64_t stride, int64_t padding) {
  check_images("max_pool2d", x);
  const Shape shape = pooled_shape("max_pool2d", x.shape(), kernel, stride, padding);
  // Then every window holds a pixel: padding is at most half of it.
  check(x.size(2) >= 1 && x.size(3) >= 1, "max_pool2d: input ", x.shape(), " has no pixels");
  MaxPoolResult r{Tensor::empty(shape, x.dtype()), Tensor::empty(shape, DType::i64)};
  const Tensor plain = x.contiguous();
  dispatch<kReals>("max_pool2d", x.dtype(), [&]<class T>() {
    const int64_t height = x.size(2);
    const int64_t width = x.size(3);
    const T* in = plain.data<T>();
    T* to = r.out.mutable_data<T>();
    auto* index = r.index.mutable_data<int64_t>();
    for_each_plane(x, [&](int64_t plane) {
      const T* image = in + plane * height * width;
      int64_t o = plane * shape[2] * shape[3];
      for (int64_t p = 0; p < shape[2]; ++p) {
        for (int64_t q = 0; q < shape[3]; ++q, ++o) {
          index[o] = argmax_of_window(image, height, width, p * stride - padding, q * stride - padding, kernel);
          to[o] = image[index[o]];
        }
      }
    });
  });
  return r;
}

}  // namespace sfumato
