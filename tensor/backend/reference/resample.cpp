// Nearest upsampling and its adjoint, one output or input pixel at a time.
#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::reference {
namespace {

// Planes of the enlarged image that are worth a thread of their own.
int64_t grain_for(const Tensor& large) {
  return std::max<int64_t>(1, 4096 / std::max<int64_t>(large.size(2) * large.size(3), 1));
}

}  // namespace

void upsample_nearest2d(const Tensor& x, int64_t scale, Tensor& out) {
  dispatch<kReals>("upsample_nearest2d", x.dtype(), [&]<class T>() {
    const int64_t height = x.size(2);
    const int64_t width = x.size(3);
    const T* in = x.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(x.size(0) * x.size(1), grain_for(out), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t p = 0; p < height * scale; ++p) {
          for (int64_t q = 0; q < width * scale; ++q) {
            to[(plane * height * scale + p) * width * scale + q] = in[(plane * height + p / scale) * width + q / scale];
          }
        }
      }
    });
  });
}

void upsample_nearest2d_backward(const Tensor& dy, int64_t scale, Tensor& dx) {
  dispatch<kReals>("upsample_nearest2d_backward", dy.dtype(), [&]<class T>() {
    const int64_t height = dx.size(2);
    const int64_t width = dx.size(3);
    const T* from = dy.data<T>();
    T* to = dx.mutable_data<T>();
    parallel_for(dx.size(0) * dx.size(1), grain_for(dy), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        for (int64_t h = 0; h < height; ++h) {
          for (int64_t w = 0; w < width; ++w) {
            double sum = 0;
            for (int64_t r = 0; r < scale; ++r) {
              for (int64_t s = 0; s < scale; ++s) {
                sum += from[((plane * height + h) * scale + r) * width * scale + w * scale + s];
              }
            }
            to[(plane * height + h) * width + w] = static_cast<T>(sum);
          }
        }
      }
    });
  });
}

}  // namespace sfumato::reference
