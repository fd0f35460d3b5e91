// Row kernels of the reductions. Four accumulators of kLanes each hide the latency of the additions; they are combined
// in a fixed order, so a row's bits depend on its length alone.
#include "tensor/backend/fast/reduce_kernels.h"
#include "tensor/backend/fast/vector_math.h"

namespace sfumato::fast::SFUMATO_ISA {
namespace {

struct Sum {
  static constexpr float kNeutral = 0;
  template <class T>
  static T combine(T a, T b) {
    return a + b;
  }
};
struct Prod {
  static constexpr float kNeutral = 1;
  template <class T>
  static T combine(T a, T b) {
    return a * b;
  }
};
struct Max {
  static constexpr float kNeutral = -__builtin_inff();
  template <class T>
  static T combine(T a, T b) {
    return (a > b) | (a != a) ? a : b;
  }
};
struct Min {
  static constexpr float kNeutral = __builtin_inff();
  template <class T>
  static T combine(T a, T b) {
    return (a < b) | (a != a) ? a : b;
  }
};

template <class Op>
Vec load_or_neutral(const float* x, int count) {
  Vec v = broadcast(Op::kNeutral);
  for (int lane = 0; lane < count; ++lane) {
    v[lane] = x[lane];
  }
  return v;
}

template <class Op>
float row_of(const float* x, int64_t n) {
  constexpr int kAccumulators = 4;
  Vec total[kAccumulators];
  for (Vec& t : total) {
    t = broadcast(Op::kNeutral);
  }
  int64_t i = 0;
  for (; i + kAccumulators * kLanes <= n; i += kAccumulators * kLanes) {
    for (int k = 0; k < kAccumulators; ++k) {
      total[k] = Op::combine(total[k], load_unaligned(x + i + k * kLanes));
    }
  }
  for (int k = 0; i < n; i += kLanes, ++k) {
    const int count = n - i < kLanes ? static_cast<int>(n - i) : kLanes;
    total[k] = Op::combine(total[k], load_or_neutral<Op>(x + i, count));
  }
  const Vec all = Op::combine(Op::combine(total[0], total[1]), Op::combine(total[2], total[3]));
  float result = all[0];
  for (int lane = 1; lane < kLanes; ++lane) {
    result = Op::combine(result, static_cast<float>(all[lane]));
  }
  return result;
}

template <class Op>
void rows_of(const float* x, int64_t rows, int64_t stride, float* out, int64_t n) {
  for (int64_t j = 0; j < n; j += kLanes) {
    const int count = n - j < kLanes ? static_cast<int>(n - j) : kLanes;
    Vec total = broadcast(Op::kNeutral);
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = x + r * stride + j;
      total = Op::combine(total, count == kLanes ? load_unaligned(from) : load_first(from, count));
    }
    store_first(out + j, count, total);
  }
}

}  // namespace

float reduce_row(ReduceOp op, const float* x, int64_t n) {
  switch (op) {
    case ReduceOp::sum: return row_of<Sum>(x, n);
    case ReduceOp::prod: return row_of<Prod>(x, n);
    case ReduceOp::max: return row_of<Max>(x, n);
    case ReduceOp::min: return row_of<Min>(x, n);
  }
  return 0;
}

void reduce_rows(ReduceOp op, const float* x, int64_t rows, int64_t stride, float* out, int64_t n) {
  switch (op) {
    case ReduceOp::sum: return rows_of<Sum>(x, rows, stride, out, n);
    case ReduceOp::prod: return rows_of<Prod>(x, rows, stride, out, n);
    case ReduceOp::max: return rows_of<Max>(x, rows, stride, out, n);
    case ReduceOp::min: return rows_of<Min>(x, rows, stride, out, n);
  }
}

}  // namespace sfumato::fast::SFUMATO_ISA
