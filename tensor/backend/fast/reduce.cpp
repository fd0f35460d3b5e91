// Fast reductions. Neighbouring dimensions of one kind (kept or reduced) are merged, which leaves two cases:
//
// * the innermost dimensions are reduced: every output is a sum of rows, cut into segments of fixed length. Segments
// are
//   computed in parallel, then combined per output in order, in f64.
// * the innermost dimensions are kept: rows are added up column block by column block, in fixed groups of rows.
//
// Segments, blocks and groups depend on the shape alone, so the bits do not depend on the number of threads.
#include <limits>

#include "tensor/backend/backend.h"
#include "tensor/backend/fast/isa.h"
#include "tensor/backend/fast/reduce_kernels.h"
#include "tensor/parallel.h"

namespace sfumato::fast {
namespace {

constexpr int64_t kSegment = 1 << 14;        // elements of a row that one partial result covers
constexpr int64_t kColumnBlock = 512;        // columns that a thread keeps in L1
constexpr int64_t kRowGroup = 128;           // rows summed in f32 before the group joins the total
constexpr int64_t kWorkPerThread = 1 << 14;  // elements below which a parallel region does not pay

float reduce_row(ReduceOp op, const float* x, int64_t n) {
  switch (isa()) {
    case Isa::avx512: return avx512::reduce_row(op, x, n);
    case Isa::avx2: return avx2::reduce_row(op, x, n);
    case Isa::baseline: return baseline::reduce_row(op, x, n);
  }
  return 0;
}

void reduce_rows(ReduceOp op, const float* x, int64_t rows, int64_t stride, float* out, int64_t n) {
  switch (isa()) {
    case Isa::avx512: return avx512::reduce_rows(op, x, rows, stride, out, n);
    case Isa::avx2: return avx2::reduce_rows(op, x, rows, stride, out, n);
    case Isa::baseline: return baseline::reduce_rows(op, x, rows, stride, out, n);
  }
}

double combine(ReduceOp op, double a, double b) {
  switch (op) {
    case ReduceOp::sum: return a + b;
    case ReduceOp::prod: return a * b;
    case ReduceOp::max: return a > b || a != a ? a : b;
    case ReduceOp::min: return a < b || a != a ? a : b;
  }
  return a;
}

// What nothing combines to.
double neutral(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum: return 0;
    case ReduceOp::prod: return 1;
    case ReduceOp::max: return -std::numeric_limits<double>::infinity();
    case ReduceOp::min: return std::numeric_limits<double>::infinity();
  }
  return 0;
}

// A contiguous tensor's dimensions, outermost first, neighbours of one kind merged; sizes of 1 dropped.
struct MergedDims {
  Shape sizes;
  Strides strides;
  uint32_t reduced = 0;

  MergedDims(const Shape& shape, uint32_t mask) {
    const Strides full = contiguous_strides(shape);
    for (int d = 0; d < shape.rank(); ++d) {
      if (shape[d] == 1) {
        continue;
      }
      const uint32_t kind = mask >> d & 1u;
      const int last = sizes.rank() - 1;
      // Compared as integers: gcc 12 folds the comparison of two `!= 0` wrongly here.
      if (last >= 0 && kind == (reduced >> last & 1u)) {
        sizes[last] *= shape[d];
        strides[last] = full[d];
      } else {
        reduced |= kind << sizes.rank();
        sizes.push_back(shape[d]);
        strides.push_back(full[d]);
      }
    }
  }

  bool is_reduced(int d) const { return (reduced >> d & 1u) != 0; }

  // How many combinations the dimensions of one kind have, without the innermost one.
  int64_t outer_count(bool of_reduced) const {
    int64_t count = 1;
    for (int d = 0; d + 1 < sizes.rank(); ++d) {
      count *= is_reduced(d) == of_reduced ? sizes[d] : 1;
    }
    return count;
  }
  int64_t outer_offset(bool of_reduced, int64_t i) const {
    int64_t offset = 0;
    for (int d = sizes.rank() - 2; d >= 0; --d) {
      if (is_reduced(d) == of_reduced) {
        offset += i % sizes[d] * strides[d];
        i /= sizes[d];
      }
    }
    return offset;
  }
};

void reduce_inner(ReduceOp op, const float* x, const MergedDims& dims, float* out) {
  const int64_t row = dims.sizes[dims.sizes.rank() - 1];
  const int64_t outputs = dims.outer_count(false);
  const int64_t rows = dims.outer_count(true);
  const int64_t segments_per_row = (row + kSegment - 1) / kSegment;
  const int64_t segments = rows * segments_per_row;
  Tensor partials = Tensor::empty({outputs * segments}, DType::f32);
  float* partial = partials.mutable_data<float>();
  const int64_t grain = std::max<int64_t>(1, kWorkPerThread / std::min(row, kSegment));
  parallel_for(outputs * segments, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t segment = i % segments;
      const int64_t start = segment % segments_per_row * kSegment;
      const float* from =
          x + dims.outer_offset(false, i / segments) + dims.outer_offset(true, segment / segments_per_row) + start;
      partial[i] = reduce_row(op, from, std::min(kSegment, row - start));
    }
  });
  for (int64_t o = 0; o < outputs; ++o) {
    double total = partial[o * segments];
    for (int64_t s = 1; s < segments; ++s) {
      total = combine(op, total, partial[o * segments + s]);
    }
    out[o] = static_cast<float>(total);
  }
}

// Adds up groups of rows for one block of columns.
void reduce_columns(ReduceOp op, const float* x, const MergedDims& dims, float* out, int64_t columns) {
  // The innermost reduced dimension is swept by the kernel, the others by the loop.
  const int sweep = dims.sizes.rank() - 2;
  const int64_t rows = dims.sizes[sweep];
  const int64_t sweeps = dims.outer_count(true) / rows;
  float group[kColumnBlock];
  double total[kColumnBlock];
  bool first = true;
  for (int64_t s = 0; s < sweeps; ++s) {
    const float* from = x + dims.outer_offset(true, s * rows);
    for (int64_t r = 0; r < rows; r += kRowGroup) {
      reduce_rows(op, from + r * dims.strides[sweep], std::min(kRowGroup, rows - r), dims.strides[sweep], group,
                  columns);
      for (int64_t j = 0; j < columns; ++j) {
        total[j] = first ? group[j] : combine(op, total[j], group[j]);
      }
      first = false;
    }
  }
  for (int64_t j = 0; j < columns; ++j) {
    out[j] = static_cast<float>(total[j]);
  }
}

void reduce_outer(ReduceOp op, const float* x, const MergedDims& dims, float* out) {
  const int64_t columns = dims.sizes[dims.sizes.rank() - 1];
  const int64_t blocks = (columns + kColumnBlock - 1) / kColumnBlock;
  const int64_t work = dims.outer_count(true) * std::min(columns, kColumnBlock);
  parallel_for(dims.outer_count(false) * blocks, std::max<int64_t>(1, kWorkPerThread / work),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t start = i % blocks * kColumnBlock;
                   reduce_columns(op, x + dims.outer_offset(false, i / blocks) + start, dims,
                                  out + i / blocks * columns + start, std::min(kColumnBlock, columns - start));
                 }
               });
}

}  // namespace

void reduce(ReduceOp op, const Tensor& x, uint32_t mask, Tensor& out) {
  if (x.numel() == 0) {
    out.fill(neutral(op));
    return;
  }
  const Tensor dense = x.contiguous();
  const MergedDims dims(dense.shape(), mask);
  if (dims.reduced == 0) {
    out.copy_from(x);
  } else if (dims.is_reduced(dims.sizes.rank() - 1)) {
    reduce_inner(op, dense.data<float>(), dims, out.mutable_data<float>());
  } else {
    reduce_outer(op, dense.data<float>(), dims, out.mutable_data<float>());
  }
}

}  // namespace sfumato::fast
