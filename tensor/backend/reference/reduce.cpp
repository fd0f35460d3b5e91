// Reductions as nested loops over the kept and the reduced dimensions. Reals accumulate in f64, integers in i64, where
// they wrap around. A long reduction is cut into chunks of fixed length, combined in order: so it may use several
// threads, and its bits do not depend on how many.
#include <limits>
#include <type_traits>
#include <vector>

#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::reference {
namespace {

constexpr int64_t kChunk = 1 << 14;

// Sizes and strides of the dimensions with (or without) their bit set in the mask.
struct Loop {
  Shape sizes;
  Strides strides;

  Loop(const Tensor& x, uint32_t mask, bool reduced) {
    for (int d = 0; d < x.dim(); ++d) {
      if (((mask >> d & 1u) != 0) == reduced) {
        sizes.push_back(x.shape()[d]);
        strides.push_back(x.strides()[d]);
      }
    }
    if (sizes.rank() == 0) {
      sizes.push_back(1);
      strides.push_back(0);
    }
  }

  int64_t row() const { return sizes[sizes.rank() - 1]; }
  int64_t step() const { return strides[strides.rank() - 1]; }
  // The element offset of the i-th combination, the last dimension fastest.
  int64_t offset(int64_t i) const {
    int64_t offset = 0;
    for (int d = sizes.rank() - 1; d >= 0; --d) {
      offset += i % sizes[d] * strides[d];
      i /= sizes[d];
    }
    return offset;
  }
};

// Signed overflow is undefined in C++; through uint64_t it wraps.
int64_t wrapping(int64_t a, int64_t b, bool product) {
  const auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);
  return static_cast<int64_t>(product ? x * y : x + y);
}

double combine(ReduceOp op, double total, double v) {
  switch (op) {
    case ReduceOp::sum: return total + v;
    case ReduceOp::prod: return total * v;
    case ReduceOp::max: return v > total || v != v ? v : total;
    case ReduceOp::min: return v < total || v != v ? v : total;
  }
  return total;
}

int64_t combine(ReduceOp op, int64_t total, int64_t v) {
  switch (op) {
    case ReduceOp::sum: return wrapping(total, v, false);
    case ReduceOp::prod: return wrapping(total, v, true);
    case ReduceOp::max: return v > total ? v : total;
    case ReduceOp::min: return v < total ? v : total;
  }
  return total;
}

// What nothing combines to. Of nothing, the largest bool is false and the smallest true: any() and all().
template <class T, class Total>
Total neutral(ReduceOp op) {
  using Limits = std::numeric_limits<T>;
  switch (op) {
    case ReduceOp::sum: return 0;
    case ReduceOp::prod: return 1;
    case ReduceOp::max: return static_cast<Total>(Limits::has_infinity ? -Limits::infinity() : Limits::lowest());
    case ReduceOp::min: return static_cast<Total>(Limits::has_infinity ? Limits::infinity() : Limits::max());
  }
  return 0;
}

// Combinations begin..end-1 of the reduced dimensions, row by row.
template <class T, class Total>
Total reduce_range(ReduceOp op, const T* base, const Loop& reduced, int64_t begin, int64_t end) {
  Total total = neutral<T, Total>(op);
  for (int64_t i = begin; i < end;) {
    const T* from = base + reduced.offset(i);
    const int64_t count = std::min(reduced.row() - i % reduced.row(), end - i);
    for (int64_t k = 0; k < count; ++k) {
      total = combine(op, total, static_cast<Total>(from[k * reduced.step()]));
    }
    i += count;
  }
  return total;
}

}  // namespace

void reduce(ReduceOp op, const Tensor& x, uint32_t mask, Tensor& out) {
  const Loop kept(x, mask, false);
  const Loop reduced(x, mask, true);
  const int64_t count = reduced.sizes.numel();
  const int64_t chunks = std::max<int64_t>(1, (count + kChunk - 1) / kChunk);
  dispatch<kReals | kIntegers | DTypeSet{DType::boolean}>("reduce", x.dtype(), [&]<class T>() {
    using Total = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;
    const T* in = x.data<T>();
    std::vector<Total> partial(static_cast<size_t>(out.numel() * chunks));
    parallel_for(out.numel() * chunks, std::max<int64_t>(1, kChunk / std::max<int64_t>(std::min(count, kChunk), 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t first = i % chunks * kChunk;
                     partial[static_cast<size_t>(i)] = reduce_range<T, Total>(op, in + kept.offset(i / chunks), reduced,
                                                                              first, std::min(first + kChunk, count));
                   }
                 });
    const auto finish = [&]<class To>(To* to) {
      for (int64_t o = 0; o < out.numel(); ++o) {
        Total total = partial[static_cast<size_t>(o * chunks)];
        for (int64_t c = 1; c < chunks; ++c) {
          total = combine(op, total, partial[static_cast<size_t>(o * chunks + c)]);
        }
        to[o] = static_cast<To>(total);
      }
    };
    // Sums and products of integers are i64, whatever they are made of.
    out.dtype() == x.dtype() ? finish(out.mutable_data<T>()) : finish(out.mutable_data<int64_t>());
  });
}

}  // namespace sfumato::reference
