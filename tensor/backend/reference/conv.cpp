// 2-D convolution and its two gradients with plain loops: every kernel tap multiplies whole rows of an image.
//
//   y[p, q] += w[r, s] * x[p * stride + r * dilation - padding, q * stride + s * dilation - padding]
//
// All three are this line, solved for another letter. Sums are kept in f64 and run in a fixed order per output, so the
// bits do not depend on the number of threads.
#include <algorithm>
#include <vector>

#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::reference {
namespace {

// The outputs p in [begin, end) for which p * stride + shift lies inside an input of the given size.
struct Range {
  int64_t begin, end;
};

Range valid_outputs(int64_t outputs, int64_t inputs, int64_t stride, int64_t shift) {
  const int64_t begin = shift < 0 ? (-shift + stride - 1) / stride : 0;
  const int64_t end = shift < inputs ? (inputs - 1 - shift) / stride + 1 : 0;
  return {std::min(begin, outputs), std::clamp(end, std::min(begin, outputs), outputs)};
}

// The sizes of a convolution, by the letters of ops/conv.h; C and K count the channels of one group.
struct Sizes {
  int64_t N, G, C, H, W, K, R, S, P, Q;
  Pair2d stride, padding, dilation;
  Sizes(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& o)
      : N(x[0]),
        G(o.groups),
        C(w[1]),
        H(x[2]),
        W(x[3]),
        K(w[0] / o.groups),
        R(w[2]),
        S(w[3]),
        P(y[2]),
        Q(y[3]),
        stride(o.stride),
        padding(o.padding),
        dilation(o.dilation) {}

  // How many tasks make a parallel region worth opening, when each runs over `channels` planes of outputs.
  int64_t grain(int64_t channels) const { return 1 + 131072 / (1 + channels * R * S * P * Q); }

  // Calls f(tap, y_offset, x_offset, count) for each tap and each row of outputs that it reaches: y at y_offset + i
  // goes with x at x_offset + i * stride.width, i < count.
  template <class F>
  void for_each_row(F&& f) const {
    for (int64_t r = 0; r < R; ++r) {
      const int64_t row_shift = r * dilation.height - padding.height;
      const Range rows = valid_outputs(P, H, stride.height, row_shift);
      for (int64_t s = 0; s < S; ++s) {
        const int64_t column_shift = s * dilation.width - padding.width;
        const Range columns = valid_outputs(Q, W, stride.width, column_shift);
        for (int64_t p = rows.begin; p < rows.end; ++p) {
          f(r * S + s, p * Q + columns.begin,
            (p * stride.height + row_shift) * W + columns.begin * stride.width + column_shift,
            columns.end - columns.begin);
        }
      }
    }
  }
};

// out[i * out_step] += a * in[i * in_step]; the common steps of 1 are spelt out so that they are vectorised.
template <class T>
void add_scaled_row(double* out, int64_t out_step, double a, const T* in, int64_t in_step, int64_t count) {
  if (out_step == 1 && in_step == 1) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] += a * in[i];
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      out[i * out_step] += a * in[i * in_step];
    }
  }
}

// sums[i] += a[i] * b[i * b_step].
template <class T>
void add_row_product(double* sums, const T* a, const T* b, int64_t b_step, int64_t count) {
  if (b_step == 1) {
    for (int64_t i = 0; i < count; ++i) {
      sums[i] += static_cast<double>(a[i]) * b[i];
    }
  } else {
    for (int64_t i = 0; i < count; ++i) {
      sums[i] += static_cast<double>(a[i]) * b[i * b_step];
    }
  }
}

template <class T>
void store(const std::vector<double>& sums, T* out) {
  std::transform(sums.begin(), sums.end(), out, [](double value) { return static_cast<T>(value); });
}

// One task per output plane (n, k).
template <class T>
void forward(const Sizes& z, const T* x, const T* w, const T* bias, T* y) {
  parallel_for(z.N * z.G * z.K, z.grain(z.C), [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(z.P * z.Q));
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t k = plane % (z.G * z.K), n = plane / (z.G * z.K), group = k / z.K;
      std::fill(sums.begin(), sums.end(), bias != nullptr ? static_cast<double>(bias[k]) : 0.0);
      for (int64_t c = 0; c < z.C; ++c) {
        const T* image = x + ((n * z.G + group) * z.C + c) * z.H * z.W;
        const T* taps = w + (k * z.C + c) * z.R * z.S;
        z.for_each_row([&](int64_t tap, int64_t y_at, int64_t x_at, int64_t count) {
          add_scaled_row(sums.data() + y_at, 1, taps[tap], image + x_at, z.stride.width, count);
        });
      }
      store(sums, y + plane * z.P * z.Q);
    }
  });
}

// One task per input plane (n, c).
template <class T>
void backward_input(const Sizes& z, const T* dy, const T* w, T* dx) {
  parallel_for(z.N * z.G * z.C, z.grain(z.K), [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(z.H * z.W));
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t c = plane % z.C, image = plane / z.C, group = image % z.G;
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t k = 0; k < z.K; ++k) {
        const T* gradient = dy + (image * z.K + k) * z.P * z.Q;
        const T* taps = w + ((group * z.K + k) * z.C + c) * z.R * z.S;
        z.for_each_row([&](int64_t tap, int64_t y_at, int64_t x_at, int64_t count) {
          add_scaled_row(sums.data() + x_at, z.stride.width, taps[tap], gradient + y_at, 1, count);
        });
      }
      store(sums, dx + plane * z.H * z.W);
    }
  });
}

// One task per pair of channels (k, c): each tap sums its products column by column, the columns at the end.
template <class T>
void backward_weight(const Sizes& z, const T* x, const T* dy, T* dw) {
  const int64_t taps = z.R * z.S;
  parallel_for(z.G * z.K * z.C, z.grain(z.N), [&](int64_t begin, int64_t end) {
    std::vector<double> sums(static_cast<size_t>(taps * z.Q));
    for (int64_t pair = begin; pair < end; ++pair) {
      const int64_t k = pair / z.C, c = pair % z.C, group = k / z.K;
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t n = 0; n < z.N; ++n) {
        const T* gradient = dy + (n * z.G * z.K + k) * z.P * z.Q;
        const T* image = x + ((n * z.G + group) * z.C + c) * z.H * z.W;
        z.for_each_row([&](int64_t tap, int64_t y_at, int64_t x_at, int64_t count) {
          add_row_product(sums.data() + tap * z.Q, gradient + y_at, image + x_at, z.stride.width, count);
        });
      }
      for (int64_t tap = 0; tap < taps; ++tap) {
        double sum = 0;
        for (int64_t q = 0; q < z.Q; ++q) {
          sum += sums[static_cast<size_t>(tap * z.Q + q)];
        }
        dw[pair * taps + tap] = static_cast<T>(sum);
      }
    }
  });
}

}  // namespace

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o, Tensor& out) {
  const Sizes z(x.shape(), weight.shape(), out.shape(), o);
  dispatch<kReals>("conv2d", out.dtype(), [&]<class T>() {
    forward(z, x.data<T>(), weight.data<T>(), bias.defined() ? bias.data<T>() : nullptr, out.mutable_data<T>());
  });
}

void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Conv2dOptions& o, Tensor& dx) {
  const Sizes z(dx.shape(), weight.shape(), dy.shape(), o);
  dispatch<kReals>("conv2d_backward_input", dx.dtype(),
                   [&]<class T>() { backward_input(z, dy.data<T>(), weight.data<T>(), dx.mutable_data<T>()); });
}

void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Conv2dOptions& o, Tensor& dweight) {
  const Sizes z(x.shape(), dweight.shape(), dy.shape(), o);
  dispatch<kReals>("conv2d_backward_weight", dweight.dtype(),
                   [&]<class T>() { backward_weight(z, x.data<T>(), dy.data<T>(), dweight.mutable_data<T>()); });
}

}  // namespace sfumato::reference
