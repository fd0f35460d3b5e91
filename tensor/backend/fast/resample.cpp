// Fast nearest upsampling, row by row: memory-bound, so plain loops that the compiler vectorises are enough. Scale 2,
// the one that networks use, has loops of its own.
#include <cstring>

#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::fast {
namespace {

constexpr int64_t kGrain = 1 << 14;  // output elements below which a second thread does not pay

// Calls f(row) for the rows of all planes of the smaller tensor, in parallel.
template <class F>
void for_each_row(const Tensor& small, int64_t scale, F&& f) {
  const int64_t work = std::max<int64_t>(small.size(3) * scale * scale, 1);
  parallel_for(small.size(0) * small.size(1) * small.size(2), std::max<int64_t>(1, kGrain / work),
               [&](int64_t begin, int64_t end) {
                 for (int64_t row = begin; row < end; ++row) {
                   f(row);
                 }
               });
}

void repeat_pixels(const float* __restrict in, int64_t width, int64_t scale, float* __restrict out) {
  if (scale == 2) {
    for (int64_t w = 0; w < width; ++w) {
      out[2 * w] = in[w];
      out[2 * w + 1] = in[w];
    }
    return;
  }
  for (int64_t w = 0; w < width; ++w) {
    for (int64_t s = 0; s < scale; ++s) {
      out[w * scale + s] = in[w];
    }
  }
}

// out[w] = sum of the scale x scale pixels of `in` (rows of width * scale) that w was copied to.
void sum_pixels(const float* __restrict in, int64_t width, int64_t scale, float* __restrict out) {
  if (scale == 2) {
    const float* __restrict below = in + 2 * width;
    for (int64_t w = 0; w < width; ++w) {
      out[w] = (in[2 * w] + in[2 * w + 1]) + (below[2 * w] + below[2 * w + 1]);
    }
    return;
  }
  for (int64_t w = 0; w < width; ++w) {
    float sum = 0;
    for (int64_t r = 0; r < scale; ++r) {
      for (int64_t s = 0; s < scale; ++s) {
        sum += in[(r * width + w) * scale + s];
      }
    }
    out[w] = sum;
  }
}

}  // namespace

void upsample_nearest2d(const Tensor& x, int64_t scale, Tensor& out) {
  const int64_t width = x.size(3);
  const int64_t long_row = width * scale;
  const float* in = x.data<float>();
  float* to = out.mutable_data<float>();
  for_each_row(x, scale, [&](int64_t row) {
    float* first = to + row * scale * long_row;
    repeat_pixels(in + row * width, width, scale, first);
    for (int64_t r = 1; r < scale; ++r) {
      std::memcpy(first + r * long_row, first, static_cast<size_t>(long_row) * sizeof(float));
    }
  });
}

void upsample_nearest2d_backward(const Tensor& dy, int64_t scale, Tensor& dx) {
  const int64_t width = dx.size(3);
  const float* from = dy.data<float>();
  float* to = dx.mutable_data<float>();
  for_each_row(dx, scale,
               [&](int64_t row) { sum_pixels(from + row * scale * width * scale, width, scale, to + row * width); });
}

}  // namespace sfumato::fast
