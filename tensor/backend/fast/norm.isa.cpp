// Group norm and softmax on vectors. One thread owns a whole group (or row), and every sum runs in an order that
// depends on the shape alone, so results do not depend on the number of threads.
#include "tensor/backend/fast/norm_kernels.h"
#include "tensor/backend/fast/vector_math.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

// Elements that float accumulators may take before they are emptied into f64: enough to hide the cost of that, few
// enough that their rounding stays below 1e-6. 16 KB also stay in the L1 cache between the two passes over a block.
constexpr int64_t kBlock = 4096;

// Calls f(offset, count) for n elements: full vectors first, one partial vector if there is a rest.
template <class F>
inline void for_each_vector(int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    f(i, kLanes);
  }
  if (i < n) {
    f(i, static_cast<int>(n - i));
  }
}

inline Vec load_some(const float* p, int count) { return count == kLanes ? load_unaligned(p) : load_first(p, count); }
inline void store_some(float* p, int count, Vec v) {
  count == kLanes ? store_unaligned(p, v) : store_first(p, count, v);
}

// ---- mean and variance ----

struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;  // sum of (x - mean)^2

  // Chan, Golub & LeVeque 1979: joins two sets of samples without cancellation.
  void join(const Moments& other) {
    const double total = count + other.count;
    const double difference = other.mean - mean;
    mean += difference * (other.count / total);
    squares += other.squares + difference * difference * (count * other.count / total);
    count = total;
  }
};

double block_sum(const float* x, int64_t n) {
  Vec total[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int k = 0; k < 4; ++k) {
      total[k] += load_unaligned(x + i + k * kLanes);
    }
  }
  for_each_vector(n - i, [&](int64_t j, int count) { total[0] += load_some(x + i + j, count); });
  return sum_lanes((total[0] + total[1]) + (total[2] + total[3]));
}

// Two passes over a block in L1: its mean, rounded, then sums of the differences from it. The sum of the differences
// themselves corrects for that rounding.
Moments block_moments(const float* x, int64_t n) {
  const auto count = static_cast<double>(n);
  const auto shift = static_cast<float>(block_sum(x, n) / count);
  const Vec center = broadcast(shift);
  Vec sum[2] = {};
  Vec squares[2] = {};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    for (int k = 0; k < 2; ++k) {
      const Vec d = load_unaligned(x + i + k * kLanes) - center;
      sum[k] += d;
      squares[k] = fma(d, d, squares[k]);
    }
  }
  for_each_vector(n - i, [&](int64_t j, int lanes) {
    const Vec d = load_first_or(x + i + j, lanes, center) - center;
    sum[0] += d;
    squares[0] = fma(d, d, squares[0]);
  });
  const double offset = sum_lanes(sum[0] + sum[1]) / count;
  return {count, shift + offset, sum_lanes(squares[0] + squares[1]) - offset * offset * count};
}

Moments moments(const float* x, int64_t n) {
  Moments all;
  for (int64_t i = 0; i < n; i += kBlock) {
    all.join(block_moments(x + i, smaller(kBlock, n - i)));
  }
  return all;
}

// ---- group norm ----

template <bool kSilu>
void normalize_row(const float* x, int64_t n, float mean, float scale, float shift, float* out) {
  const Vec m = broadcast(mean);
  const Vec s = broadcast(scale);
  const Vec b = broadcast(shift);
  for_each_vector(n, [&](int64_t i, int count) {
    const Vec z = fma(load_some(x + i, count) - m, s, b);
    store_some(out + i, count, kSilu ? silu(z) : z);
  });
}

// What every group of a call needs to know about itself.
struct Group {
  int64_t index;          // of N * groups
  int64_t channels;       // in this group
  int64_t first_channel;  // within the sample
  int64_t offset;         // of its first element

  Group(const GroupNormCall& call, int64_t i)
      : index(i),
        channels(call.channels / call.groups),
        first_channel(i % call.groups * channels),
        offset(i * channels * call.plane) {}
};

inline float weight_of(const GroupNormCall& call, int64_t channel) { return call.weight ? call.weight[channel] : 1.0f; }
inline float bias_of(const GroupNormCall& call, int64_t channel) { return call.bias ? call.bias[channel] : 0.0f; }

void normalize_group(const GroupNormCall& call, const Group& group) {
  const int64_t size = group.channels * call.plane;
  const Moments stats = moments(call.x + group.offset, size);
  const double variance = size > 0 && stats.squares > 0 ? stats.squares / static_cast<double>(size) : 0;
  // A NaN among the squares is not > 0, but the mean carries it.
  const double rstd = stats.squares == stats.squares ? 1 / __builtin_sqrt(variance + call.eps) : stats.squares;
  call.mean[group.index] = static_cast<float>(stats.mean);
  call.rstd[group.index] = static_cast<float>(rstd);
  for (int64_t c = 0; c < group.channels; ++c) {
    const int64_t at = group.offset + c * call.plane;
    const int64_t channel = group.first_channel + c;
    const float scale = static_cast<float>(rstd) * weight_of(call, channel);
    const auto row = call.silu ? normalize_row<true> : normalize_row<false>;
    row(call.x + at, call.plane, static_cast<float>(stats.mean), scale, bias_of(call, channel), call.out + at);
  }
}

// d silu(z) / dz = s (1 + z (1 - s)), s = sigmoid(z).
inline Vec silu_slope(Vec z) {
  const Vec s = sigmoid(z);
  return s * fma(z, 1.0f - s, broadcast(1.0f));
}

struct RowSums {
  double dz = 0;        // sum of dz, the gradient before the SiLU
  double dz_times = 0;  // sum of dz (x - mean)
};

// First pass over a channel. With SiLU the gradient before it is left in dx for the second pass.
template <bool kSilu>
RowSums sum_row(const float* dy, const float* x, int64_t n, float mean, float scale, float shift, float* dx) {
  const Vec m = broadcast(mean);
  const Vec s = broadcast(scale);
  const Vec b = broadcast(shift);
  RowSums sums;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    Vec total = {};
    Vec total_times = {};
    for_each_vector(smaller(kBlock, n - begin), [&](int64_t j, int count) {
      const int64_t i = begin + j;
      const Vec d = load_some(x + i, count) - m;
      Vec dz = load_some(dy + i, count);  // zero beyond the end, and so is what it contributes
      if (kSilu) {
        dz *= silu_slope(fma(d, s, b));
        store_some(dx + i, count, dz);
      }
      total += dz;
      total_times = fma(dz, d, total_times);
    });
    sums.dz += sum_lanes(total);
    sums.dz_times += sum_lanes(total_times);
  }
  return sums;
}

// dx = a dz + b (x - mean) + c; dz may be dx itself.
void combine_row(const float* dz, const float* x, int64_t n, float mean, float a, float b, float c, float* dx) {
  const Vec m = broadcast(mean);
  const Vec va = broadcast(a);
  const Vec vb = broadcast(b);
  const Vec vc = broadcast(c);
  for_each_vector(n, [&](int64_t i, int count) {
    const Vec rest = fma(load_some(x + i, count) - m, vb, vc);
    store_some(dx + i, count, fma(load_some(dz + i, count), va, rest));
  });
}

// With xh = (x - mean) rstd and means over the group's L elements:
//   dx = rstd (w dz - mean(w dz) - xh mean(w dz xh)),  dweight = sum(dz xh),  dbias = sum(dz).
void differentiate_group(const GroupNormCall& call, const Group& group) {
  const float mean = call.mean[group.index];
  const float rstd = call.rstd[group.index];
  double sum = 0;
  double sum_times = 0;
  for (int64_t c = 0; c < group.channels; ++c) {
    const int64_t at = group.offset + c * call.plane;
    const int64_t channel = group.first_channel + c;
    const float weight = weight_of(call, channel);
    const auto row = call.silu ? sum_row<true> : sum_row<false>;
    const RowSums sums =
        row(call.dy + at, call.x + at, call.plane, mean, rstd * weight, bias_of(call, channel), call.dx + at);
    const int64_t slot = group.index / call.groups * call.channels + channel;
    call.dbias[slot] = sums.dz;
    call.dweight[slot] = sums.dz_times * rstd;
    sum += sums.dz * weight;
    sum_times += sums.dz_times * rstd * weight;
  }
  const double size = static_cast<double>(group.channels * call.plane);
  const auto slope = static_cast<float>(-sum_times / size * rstd * rstd);
  const auto level = static_cast<float>(-sum / size * rstd);
  const float* dz = call.silu ? call.dx : call.dy;
  for (int64_t c = 0; c < group.channels; ++c) {
    const int64_t at = group.offset + c * call.plane;
    combine_row(dz + at, call.x + at, call.plane, mean, rstd * weight_of(call, group.first_channel + c), slope, level,
                call.dx + at);
  }
}

// ---- softmax ----

float row_maximum(const float* x, int64_t n) {
  const Vec lowest = broadcast(-__builtin_inff());
  Vec top = lowest;
  for_each_vector(n, [&](int64_t i, int count) {
    const Vec v = count == kLanes ? load_unaligned(x + i) : load_first_or(x + i, count, lowest);
    top = v > top ? v : top;
  });
  return max_lanes(top);
}

void softmax_row(const float* x, float* out, int64_t n) {
  const Vec top = broadcast(row_maximum(x, n));
  Vec total = {};
  for_each_vector(n, [&](int64_t i, int count) {
    const Vec e = exp(load_some(x + i, count) - top);
    store_some(out + i, count, e);
    total += count == kLanes ? e : keep_first(e, count);
  });
  const Vec scale = broadcast(1.0f / sum_lanes(total));
  for_each_vector(n, [&](int64_t i, int count) { store_some(out + i, count, load_some(out + i, count) * scale); });
}

void softmax_backward_row(const float* y, const float* dy, float* dx, int64_t n) {
  Vec total = {};
  for_each_vector(n,
                  [&](int64_t i, int count) { total = fma(load_some(y + i, count), load_some(dy + i, count), total); });
  const Vec dot = broadcast(sum_lanes(total));
  for_each_vector(n, [&](int64_t i, int count) {
    store_some(dx + i, count, load_some(y + i, count) * (load_some(dy + i, count) - dot));
  });
}

}  // namespace

void group_norm(const GroupNormCall& call, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    normalize_group(call, Group(call, i));
  }
}

void group_norm_backward(const GroupNormCall& call, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    differentiate_group(call, Group(call, i));
  }
}

void softmax_rows(const float* x, float* out, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row) {
    softmax_row(x + row * n, out + row * n, n);
  }
}

void softmax_backward_rows(const float* y, const float* dy, float* dx, int64_t rows, int64_t n) {
  for (int64_t row = 0; row < rows; ++row) {
    softmax_backward_row(y + row * n, dy + row * n, dx + row * n, n);
  }
}

}  // namespace sfumato::fast::SFUMATO_ISA
