// Pooling: which windows there are, what average pooling weighs their pixels with, and max pooling itself.
#include <algorithm>

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/ops/resample.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

// The windows along one axis.
struct Windows {
  int64_t count, kernel, stride, padding, dilation;
};

Windows windows_of(const char* op,
                   const char* axis,
                   int64_t size,
                   int64_t kernel,
                   int64_t stride,
                   int64_t padding,
                   int64_t dilation,
                   bool ceil_mode) {
  check(kernel >= 1, op, ": kernel must be at least 1, got ", kernel);
  stride = stride == 0 ? kernel : stride;
  check(stride >= 1, op, ": stride must be at least 1, got ", stride);
  check(dilation >= 1, op, ": dilation must be at least 1, got ", dilation);
  check(padding >= 0 && 2 * padding <= kernel, op, ": padding must be in 0..kernel/2, got ", padding, " with kernel ",
        kernel);
  check(size >= 1, op, ": the input has no pixels in ", axis);
  const int64_t reach = dilation * (kernel - 1) + 1, room = size + 2 * padding - reach;
  check(room >= 0 || (ceil_mode && room > -stride), op, ": kernel ", kernel, " is larger than the padded input's ",
        axis, " ", size + 2 * padding);
  int64_t count = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (count - 1) * stride >= size + padding) {
    --count;  // the last window would begin in the padding behind the image
  }
  return {count, kernel, stride, padding, dilation};
}

// The pixels of a window that lie in the image: first, first + dilation, ... below end.
struct Span {
  int64_t first, end;
};
Span span_of(const Windows& w, int64_t window, int64_t size) {
  const int64_t start = window * w.stride - w.padding;
  const int64_t skipped = start < 0 ? (-start + w.dilation - 1) / w.dilation : 0;
  return {start + skipped * w.dilation, std::min(start + w.dilation * (w.kernel - 1) + 1, size)};
}
std::vector<Span> spans_of(const char* op, const Windows& w, int64_t size) {
  std::vector<Span> spans;
  for (int64_t o = 0; o < w.count; ++o) {
    spans.push_back(span_of(w, o, size));
    // Dilated taps may step over a small image.
    check(spans.back().first < spans.back().end, op, ": window ", o, " of ", w.kernel, " taps with dilation ",
          w.dilation, " and padding ", w.padding, " holds none of the ", size, " pixels");
  }
  return spans;
}
Span adaptive_span(int64_t window, int64_t size, int64_t to) {
  return {window * size / to, ((window + 1) * size + to - 1) / to};
}

// The first largest pixel of a window; NaN is larger than anything, as in PyTorch.
template <class T>
int64_t argmax_of_window(
    const T* image, int64_t width, Span rows, int64_t row_step, Span columns, int64_t column_step) {
  int64_t best = rows.first * width + columns.first;
  for (int64_t h = rows.first; h < rows.end; h += row_step) {
    for (int64_t w = columns.first; w < columns.end; w += column_step) {
      const int64_t i = h * width + w;
      if (image[i] > image[best] || (image[i] != image[i] && image[best] == image[best])) {
        best = i;
      }
    }
  }
  return best;
}

// Pools windows whose rows and columns are listed.
MaxPoolResult max_pool(const Tensor& x, const std::vector<Span>& rows, const std::vector<Span>& columns, Pair2d step) {
  const Shape shape{x.size(0), x.size(1), static_cast<int64_t>(rows.size()), static_cast<int64_t>(columns.size())};
  MaxPoolResult r{Tensor::empty(shape, x.dtype()), Tensor::empty(shape, DType::i64)};
  report_cost("max_pool2d", {&x, &r.out});
  const Tensor plain = x.contiguous();
  const int64_t pixels = x.size(2) * x.size(3), windows = shape[2] * shape[3];
  dispatch<kReals>("max_pool2d", x.dtype(), [&]<class T>() {
    const T* in = plain.data<T>();
    T* to = r.out.mutable_data<T>();
    auto* index = r.index.mutable_data<int64_t>();
    parallel_for(shape[0] * shape[1], 1 + 4096 / pixels, [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const T* image = in + plane * pixels;
        int64_t o = plane * windows;
        for (const Span& row : rows) {
          for (const Span& column : columns) {
            index[o] = argmax_of_window(image, x.size(3), row, step.height, column, step.width);
            to[o] = image[index[o]];
            ++o;
          }
        }
      }
    });
  });
  return r;
}

void check_image(const char* op, const Tensor& x) {
  check(x.defined(), op, ": the input is undefined");
  check_dtype(op, kFloats, x.dtype());
  check(x.dim() == 4, op, ": input must be (N, C, H, W), got ", x.shape());
}

MaxPoolResult rounded(MaxPoolResult r) {
  r.out = r.out.to(DType::bf16);
  return r;
}

}  // namespace

AxisMap avg_pool_map(const char* op,
                     const char* axis,
                     int64_t size,
                     int64_t kernel,
                     int64_t stride,
                     int64_t padding,
                     bool ceil_mode,
                     bool count_include_pad) {
  const Windows w = windows_of(op, axis, size, kernel, stride, padding, 1, ceil_mode);
  AxisMap map;
  map.inputs = size;
  for (int64_t o = 0; o < w.count; ++o) {
    const Span span = span_of(w, o, size);
    const int64_t start = o * w.stride - w.padding;
    const int64_t with_padding = std::min(start + w.kernel, size + w.padding) - start;
    const auto count = static_cast<double>(count_include_pad ? with_padding : span.end - span.first);
    for (int64_t i = span.first; i < span.end; ++i) {
      map.add_term(i, 1 / count);
    }
    map.end_output();
  }
  return map;
}

AxisMap adaptive_pool_map(int64_t size, int64_t to) {
  check(to >= 1 && size >= 1, "adaptive_avg_pool2d: cannot make ", to, " windows of ", size, " pixels");
  AxisMap map;
  map.inputs = size;
  for (int64_t o = 0; o < to; ++o) {
    const Span span = adaptive_span(o, size, to);
    for (int64_t i = span.first; i < span.end; ++i) {
      map.add_term(i, 1 / static_cast<double>(span.end - span.first));
    }
    map.end_output();
  }
  return map;
}

MaxPoolResult max_pool2d(const Tensor& x, const Pair2d& kernel, const Pool2dOptions& options) {
  constexpr const char* op = "max_pool2d";
  check_image(op, x);
  if (x.dtype() == DType::bf16) {
    return rounded(max_pool2d(x.to(DType::f32), kernel, options));
  }
  const Pair2d& d = options.dilation;
  const Windows down = windows_of(op, "height", x.size(2), kernel.height, options.stride.height, options.padding.height,
                                  d.height, options.ceil_mode);
  const Windows along = windows_of(op, "width", x.size(3), kernel.width, options.stride.width, options.padding.width,
                                   d.width, options.ceil_mode);
  return max_pool(x, spans_of(op, down, x.size(2)), spans_of(op, along, x.size(3)), d);
}

MaxPoolResult adaptive_max_pool2d(const Tensor& x, const Pair2d& size) {
  constexpr const char* op = "adaptive_max_pool2d";
  check_image(op, x);
  check_at_least(op, "size", 1, size);
  check(x.size(2) >= 1 && x.size(3) >= 1, op, ": input ", x.shape(), " has no pixels");
  if (x.dtype() == DType::bf16) {
    return rounded(adaptive_max_pool2d(x.to(DType::f32), size));
  }
  std::vector<Span> rows, columns;
  for (int64_t o = 0; o < size.height; ++o) rows.push_back(adaptive_span(o, x.size(2), size.height));
  for (int64_t o = 0; o < size.width; ++o) columns.push_back(adaptive_span(o, x.size(3), size.width));
  return max_pool(x, rows, columns, 1);
}

}  // namespace sfumato
