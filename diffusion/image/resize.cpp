#include "diffusion/image/resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sfumato {
namespace {

// The inputs that one output pixel is the weighted mean of.
struct Taps {
  int64_t first;  // input
  int64_t count;
  int64_t offset;  // of the weights
};

// Along one side: the taps of outputs first .. first + count - 1 out of `out`, from `in` inputs.
struct Filter {
  Filter(int64_t in, int64_t out, int64_t first, int64_t count) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double support = std::max(scale, 1.0);
    for (int64_t i = first; i < first + count; ++i) {
      const double center = (static_cast<double>(i) + 0.5) * scale;
      const auto begin = std::max<int64_t>(static_cast<int64_t>(std::floor(center - support + 0.5)), 0);
      const auto end = std::min<int64_t>(static_cast<int64_t>(std::floor(center + support + 0.5)), in);
      taps.push_back({begin, end - begin, static_cast<int64_t>(weights.size())});
      double sum = 0;
      for (int64_t j = begin; j < end; ++j) {
        sum += weight(j, center, support);
      }
      for (int64_t j = begin; j < end; ++j) {
        weights.push_back(static_cast<float>(weight(j, center, support) / sum));
      }
    }
  }

  static double weight(int64_t j, double center, double support) {
    return std::max(0.0, 1 - std::abs(static_cast<double>(j) + 0.5 - center) / support);
  }

  // Of the inputs that are needed at all.
  int64_t begin() const { return taps.front().first; }
  int64_t end() const { return taps.back().first + taps.back().count; }

  std::vector<Taps> taps;
  std::vector<float> weights;
};

// One row of pixels (.., C) to one of sums.
template <int kChannels>
void filter_row(const uint8_t* in, const Filter& filter, float* out) {
  for (const Taps& taps : filter.taps) {
    const float* weights = filter.weights.data() + taps.offset;
    const uint8_t* from = in + taps.first * kChannels;
    float sums[kChannels] = {};
    for (int64_t k = 0; k < taps.count; ++k, from += kChannels) {
      for (int c = 0; c < kChannels; ++c) {
        sums[c] += weights[k] * static_cast<float>(from[c]);
      }
    }
    out = std::copy_n(sums, kChannels, out);
  }
}

uint8_t to_byte(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

// `rows` holds the filtered rows from input row rows_begin on, `width` values each.
void filter_columns(const float* rows, int64_t rows_begin, int64_t width, const Filter& filter, uint8_t* out) {
  std::vector<float> sums(static_cast<size_t>(width));
  for (const Taps& taps : filter.taps) {
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (int64_t k = 0; k < taps.count; ++k) {
      const float weight = filter.weights[static_cast<size_t>(taps.offset + k)];
      const float* row = rows + (taps.first + k - rows_begin) * width;
      for (int64_t x = 0; x < width; ++x) {
        sums[static_cast<size_t>(x)] += weight * row[x];
      }
    }
    out = std::transform(sums.begin(), sums.end(), out, to_byte);
  }
}

Tensor apply(const Tensor& pixels, const Filter& rows, const Filter& columns) {
  const Tensor plain = pixels.contiguous();
  const int64_t channels = plain.size(2);
  const auto height = static_cast<int64_t>(columns.taps.size()), width = static_cast<int64_t>(rows.taps.size());
  Tensor between = Tensor::empty({columns.end() - columns.begin(), width, channels});
  auto* to = between.mutable_data<float>();
  for (int64_t y = columns.begin(); y < columns.end(); ++y, to += width * channels) {
    const uint8_t* from = plain.data<uint8_t>() + y * plain.size(1) * channels;
    channels == 1 ? filter_row<1>(from, rows, to) : filter_row<3>(from, rows, to);
  }
  Tensor out = Tensor::empty({height, width, channels}, DType::u8);
  filter_columns(between.data<float>(), columns.begin(), width * channels, columns, out.mutable_data<uint8_t>());
  return out;
}

void check_pixels(const char* op, const Tensor& pixels) {
  check(pixels.defined() && pixels.dtype() == DType::u8 && pixels.dim() == 3 && pixels.numel() > 0 &&
            (pixels.size(2) == 1 || pixels.size(2) == 3),
        op, ": pixels must be u8 (H, W, 1 or 3), got ", pixels.dtype(), " ", pixels.shape());
}

}  // namespace

Tensor resize(const Tensor& pixels, int64_t height, int64_t width) {
  check_pixels("resize", pixels);
  check(height > 0 && width > 0, "resize: height and width must be positive, got ", height, " and ", width);
  return apply(pixels, Filter(pixels.size(1), width, 0, width), Filter(pixels.size(0), height, 0, height));
}

Tensor resize_to_square(const Tensor& pixels, int64_t size) {
  check_pixels("resize_to_square", pixels);
  check(size > 0, "resize_to_square: size must be positive, got ", size);
  const int64_t shorter = std::min(pixels.size(0), pixels.size(1));
  const auto filter = [&](int64_t side) {
    const int64_t resized = side * size / shorter;
    return Filter(side, resized, (resized - size) / 2, size);
  };
  return apply(pixels, filter(pixels.size(1)), filter(pixels.size(0)));
}

}  // namespace sfumato
