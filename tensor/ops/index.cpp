#include "tensor/ops/index.h"

#include <algorithm>
#include <vector>

#include "tensor/dry_run.h"
#include "tensor/iterator.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"

namespace sfumato {
namespace {

constexpr int64_t kGrain = 16384;  // elements below which a second thread does not pay

// A tensor seen as (outer, size, inner) around one dimension.
struct Around {
  int64_t outer = 1, size = 1, inner = 1;
  Around(const Shape& shape, int dim) : size(shape[dim]) {
    for (int d = 0; d < shape.rank(); ++d) {
      (d < dim ? outer : d > dim ? inner : size) *= d == dim ? 1 : shape[d];
    }
  }
};

// The index in row-major order as i64, every entry checked against `size`.
std::vector<int64_t> checked_index(std::string_view op, const Tensor& index, int64_t size) {
  const Tensor dense = index.contiguous();
  std::vector<int64_t> values(static_cast<size_t>(index.numel()));
  check(kIndices.contains(index.dtype()), op, ": an index must be i64 or i32, got ", index.dtype());
  dispatch<kIndices>(op, index.dtype(), [&]<class I>() { std::copy_n(dense.data<I>(), index.numel(), values.data()); });
  if (dry_run()) {  // there is nothing in the index: any values that are in range
    values.assign(values.size(), 0);
  }
  for (const int64_t value : values) {
    check(value >= 0 && value < size, op, ": index ", value, " is out of range for size ", size);
  }
  return values;
}

int dim_of(std::string_view op, const Tensor& x, int64_t dim) {
  check(x.dim() > 0, op, ": a tensor of rank 0 has no dimension to index");
  return normalize_dim(op, dim, x.dim());
}

// Where gather and scatter_add meet: `table` is walked beside `index` in every dimension but `dim`, where the index
// says where to go; so that dimension's stride becomes 0 and its real stride is returned beside the view.
struct Indexed {
  Tensor view;
  int64_t stride;
};
Indexed indexed_view(const Tensor& table, int dim, const Shape& index_shape) {
  Strides strides = table.strides();
  strides[dim] = 0;
  return {table.as_strided(index_shape, strides, table.storage_offset()), table.strides()[dim]};
}

void check_index_shape(std::string_view op, const Tensor& index, const Shape& table, int dim) {
  check(index.dim() == table.rank(), op, ": index has shape ", index.shape(), " but must have the rank of ", table);
  for (int d = 0; d < table.rank(); ++d) {
    check(d == dim || index.shape()[d] <= table[d], op, ": index ", index.shape(), " is larger than ", table,
          " in dimension ", d);
  }
}

template <class T>
void gather_runs(const Tensor& x, int dim, const Tensor& index, Tensor& out) {
  const auto [view, stride] = indexed_view(x, dim, index.shape());
  const T* in = x.data<T>();
  T* to = out.mutable_data<T>();
  const int64_t* at = index.data<int64_t>();
  ElementwiseIterator(index.shape(), {&out, &view, &index})
      .for_each_run(kGrain, [&, stride = stride](const ElementwiseIterator::Run& run) {
        for (int64_t i = 0; i < run.count; ++i) {
          const int64_t row = at[run.offset[2] + i * run.stride[2]];
          to[run.offset[0] + i * run.stride[0]] = in[run.offset[1] + i * run.stride[1] + row * stride];
        }
      });
}

// Lines along `dim` touch disjoint parts of the output; each is walked in order by one thread, which puts or adds the
// source's elements. They are taken a few at a time so that both a long inner dimension and a short one are walked
// along memory.
template <class T, class Put>
void scatter_lines(const Tensor& source, int dim, const Tensor& index, Tensor& out, Put put) {
  constexpr int64_t kLines = 16;
  const Tensor lines = select(source, dim, 0);
  const Tensor heads = select(index, dim, 0);
  const auto [view, stride] = indexed_view(out, dim, index.shape());
  const Tensor targets = select(view, dim, 0);
  const int64_t length = source.shape()[dim];
  const int64_t source_step = source.strides()[dim];
  const int64_t index_step = index.strides()[dim];
  const T* from = source.data<T>();
  const int64_t* at = index.data<int64_t>();
  T* to = out.mutable_data<T>();
  ElementwiseIterator(lines.shape(), {&targets, &lines, &heads})
      .for_each_run(std::max<int64_t>(1, kGrain / length), [&, stride = stride](const ElementwiseIterator::Run& run) {
        for (int64_t block = 0; block < run.count; block += kLines) {
          const int64_t end = std::min(block + kLines, run.count);
          for (int64_t j = 0; j < length; ++j) {
            for (int64_t i = block; i < end; ++i) {
              const int64_t row = at[run.offset[2] + i * run.stride[2] + j * index_step];
              put(to[run.offset[0] + i * run.stride[0] + row * stride],
                  from[run.offset[1] + i * run.stride[1] + j * source_step]);
            }
          }
        }
      });
}

}  // namespace

Tensor index_select(const Tensor& x, int64_t dim, const Tensor& index) {
  const int d = dim_of("index_select", x, dim);
  check(index.dim() == 1, "index_select: the index must have rank 1, got shape ", index.shape());
  const std::vector<int64_t> rows = checked_index("index_select", index, x.shape()[d]);
  Shape shape = x.shape();
  shape[d] = index.numel();
  Tensor out = Tensor::empty(shape, x.dtype());
  const Around in(x.shape(), d);
  const int64_t count = index.numel();
  const Tensor dense = x.contiguous();
  dispatch<kAllDTypes>("index_select", x.dtype(), [&]<class T>() {
    const T* from = dense.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(in.outer * count, std::max<int64_t>(1, kGrain / std::max<int64_t>(in.inner, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t row = i / count * in.size + rows[static_cast<size_t>(i % count)];
                     std::copy_n(from + row * in.inner, in.inner, to + i * in.inner);
                   }
                 });
  });
  return out;
}

Tensor index_add(const Tensor& source, int64_t dim, const Tensor& index, int64_t size) {
  const int d = dim_of("index_add", source, dim);
  check(index.dim() == 1 && index.numel() == source.shape()[d],
        "index_add: the index must have one entry per slice: ", "index ", index.shape(), ", source ", source.shape(),
        " along dimension ", d);
  check(size >= 0, "index_add: negative size ", size);
  check_dtype("index_add", kNumbers, source.dtype());
  if (source.dtype() == DType::bf16) {
    return index_add(source.to(DType::f32), dim, index, size).to(DType::bf16);
  }
  const std::vector<int64_t> rows = checked_index("index_add", index, size);
  Shape shape = source.shape();
  shape[d] = size;
  Tensor out = zeros(shape, source.dtype());
  const Around to(shape, d);
  const int64_t count = index.numel();
  const Tensor dense = source.contiguous();
  dispatch<kReals | kIntegers>("index_add", source.dtype(), [&]<class T>() {
    const T* from = dense.data<T>();
    T* sums = out.mutable_data<T>();
    // Columns are independent; each is summed in the index's order whatever the cuts are.
    parallel_for(to.outer * to.inner, std::max<int64_t>(1, kGrain / std::max<int64_t>(count, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t column = begin; column < end;) {
                     const int64_t outer = column / to.inner;
                     const int64_t first = column % to.inner;
                     const int64_t width = std::min(to.inner - first, end - column);
                     for (int64_t i = 0; i < count; ++i) {
                       const T* row = from + (outer * count + i) * to.inner + first;
                       T* sum = sums + (outer * size + rows[static_cast<size_t>(i)]) * to.inner + first;
                       for (int64_t k = 0; k < width; ++k) {
                         sum[k] = static_cast<T>(sum[k] + row[k]);
                       }
                     }
                     column += width;
                   }
                 });
  });
  return out;
}

Tensor gather(const Tensor& x, int64_t dim, const Tensor& index) {
  const int d = dim_of("gather", x, dim);
  check_index_shape("gather", index, x.shape(), d);
  checked_index("gather", index, x.shape()[d]);
  Tensor out = Tensor::empty(index.shape(), x.dtype());
  if (out.numel() > 0) {
    const Tensor at = index.to(DType::i64);
    dispatch<kAllDTypes>("gather", x.dtype(), [&]<class T>() { gather_runs<T>(x, d, at, out); });
  }
  return out;
}

Tensor scatter_add(const Tensor& source, int64_t dim, const Tensor& index, const Shape& shape) {
  const int d = dim_of("scatter_add", source, dim);
  check(source.shape() == index.shape(), "scatter_add: source ", source.shape(), " and index ", index.shape(),
        " must have one shape");
  check_index_shape("scatter_add", index, shape, d);
  check_dtype("scatter_add", kNumbers, source.dtype());
  if (source.dtype() == DType::bf16) {
    return scatter_add(source.to(DType::f32), dim, index, shape).to(DType::bf16);
  }
  checked_index("scatter_add", index, shape[d]);
  Tensor out = zeros(shape, source.dtype());
  dispatch<kReals | kIntegers>("scatter_add", source.dtype(), [&]<class T>() {
    if (source.numel() > 0) {
      scatter_lines<T>(source, d, index.to(DType::i64), out,
                       [](T& sum, T value) { sum = static_cast<T>(sum + value); });
    }
  });
  return out;
}

Tensor scatter(const Tensor& x, int64_t dim, const Tensor& index, const Tensor& source) {
  const int d = dim_of("scatter", x, dim);
  check(source.shape() == index.shape(), "scatter: source ", source.shape(), " and index ", index.shape(),
        " must have one shape");
  check(source.dtype() == x.dtype(), "scatter: the input is ", x.dtype(), " but the source ", source.dtype());
  check_index_shape("scatter", index, x.shape(), d);
  checked_index("scatter", index, x.shape()[d]);
  Tensor out = x.clone();
  dispatch<kAllDTypes>("scatter", x.dtype(), [&]<class T>() {
    if (source.numel() > 0) {
      scatter_lines<T>(source, d, index.to(DType::i64), out, [](T& place, T value) { place = value; });
    }
  });
  return out;
}

Tensor embedding(const Tensor& weight, const Tensor& index) {
  check(weight.dim() == 2, "embedding: the weight must be (entries, width), got ", weight.shape());
  Shape shape = index.shape();
  shape.push_back(weight.shape()[1]);
  const std::vector<int64_t> checked = checked_index("embedding", index, weight.shape()[0]);
  return reshape(index_select(weight, 0, reshape(index, {index.numel()})), shape);
}

Tensor one_hot(const Tensor& index, int64_t num_classes, DType dtype) {
  check(num_classes >= 1, "one_hot: at least one class, got ", num_classes);
  const std::vector<int64_t> classes = checked_index("one_hot", index, num_classes);
  Shape shape = index.shape();
  shape.push_back(num_classes);
  Tensor out = zeros(shape, dtype);
  dispatch<kAllDTypes>("one_hot", dtype, [&]<class T>() {
    T* row = out.mutable_data<T>();
    for (const int64_t c : classes) {
      row[c] = T(1);
      row += num_classes;
    }
  });
  return out;
}

}  // namespace sfumato
