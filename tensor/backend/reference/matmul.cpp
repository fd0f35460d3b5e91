// Matrix products with plain loops. Sums are kept in f64 and run in the order of k, for f32 too: the reference shall be
// better than what it judges, and the same for every number of threads.
#include "tensor/backend/backend.h"
#include "tensor/parallel.h"

namespace sfumato::reference {
namespace {

// Walks one (rows, columns) matrix of any strides.
template <class T>
struct Matrix {
  const T* data;
  int64_t row_stride, column_stride;
  T at(int64_t i, int64_t j) const { return data[i * row_stride + j * column_stride]; }
};

template <class T>
Matrix<T> matrix(const Tensor& x, int64_t batch) {
  return {x.data<T>() + batch * x.strides()[0], x.strides()[1], x.strides()[2]};
}

// out[j] = bias[j] + sum_k a[i, k] b[k, j] for one row i, summed in the order of k. Column by column would read b with
// large steps; k outside and j inside reads it as it lies, and each element still adds in the order of k.
template <class T>
void row_product(const Matrix<T>& a,
                 int64_t i,
                 const Matrix<T>& b,
                 int64_t depth,
                 int64_t columns,
                 const T* bias,
                 double* sums,
                 T* out) {
  for (int64_t j = 0; j < columns; ++j) {
    sums[j] = bias != nullptr ? bias[j] : T{0};
  }
  for (int64_t k = 0; k < depth; ++k) {
    const double factor = a.at(i, k);
    const T* row = b.data + k * b.row_stride;
    if (b.column_stride == 1) {
      for (int64_t j = 0; j < columns; ++j) {
        sums[j] += factor * row[j];
      }
    } else {
      for (int64_t j = 0; j < columns; ++j) {
        sums[j] += factor * row[j * b.column_stride];
      }
    }
  }
  for (int64_t j = 0; j < columns; ++j) {
    out[j] = static_cast<T>(sums[j]);
  }
}

template <class T>
void products(const Tensor& a, const Tensor& b, const Tensor& bias, Tensor& out) {
  const int64_t rows = a.size(1), depth = a.size(2), columns = b.size(2);
  const T* bias_data = bias.defined() ? bias.data<T>() : nullptr;
  T* out_data = out.mutable_data<T>();
  const int64_t grain = 1 + 65536 / (1 + depth * columns);
  parallel_for(a.size(0) * rows, grain, [&](int64_t begin, int64_t end) {
    Tensor sums = Tensor::empty({columns}, DType::f64);
    for (int64_t at = begin; at < end; ++at) {
      row_product(matrix<T>(a, at / rows), at % rows, matrix<T>(b, at / rows), depth, columns, bias_data,
                  sums.mutable_data<double>(), out_data + at * columns);
    }
  });
}

}  // namespace

void matmul(const Tensor& a, const Tensor& b, Tensor& out) {
  dispatch<kReals>("matmul", out.dtype(), [&]<class T>() { products<T>(a, b, {}, out); });
}

void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& out) {
  // (1, R, I) times the transposed weight (1, I, O), which is a view.
  const Tensor rows = x.as_strided({1, x.size(0), x.size(1)}, {0, x.size(1), 1}, x.storage_offset());
  const Tensor columns = weight.as_strided({1, weight.size(1), weight.size(0)}, {0, weight.stride(1), weight.stride(0)},
                                           weight.storage_offset());
  dispatch<kReals>("linear", out.dtype(), [&]<class T>() { products<T>(rows, columns, bias, out); });
}

}  // namespace sfumato::reference
