// Matrix products by oneDNN: tensors are described by their strides, so transposed views need no copy.
#include <algorithm>

#include "tensor/backend/backend.h"
#include "tensor/backend/onednn/plan.h"

namespace sfumato {
namespace {

using dnnl::memory;
using onednn::Key;
using onednn::Plan;
using onednn::PlanKind;

// A batch of matrices that oneDNN can read: rows or columns lie contiguously. One matrix used for the whole batch has
// batch size 1, which oneDNN broadcasts.
struct Matrices {
  Tensor owner;
  int64_t batch = 1, rows = 0, columns = 0;
  int64_t batch_stride = 0, row_stride = 0, column_stride = 0;

  bool row_major() const { return column_stride == 1; }
  // Whether (batch, rows, columns) is also one (batch * rows, columns) matrix.
  bool folds() const { return row_major() && (batch == 1 || batch_stride == rows * row_stride); }
  void fold() {
    rows *= batch;
    batch = 1;
  }
  memory::desc desc(int64_t of_batches) const {
    if (of_batches == 1) {
      return {{rows, columns}, memory::data_type::f32, memory::dims{row_stride, column_stride}};
    }
    return {{batch, rows, columns}, memory::data_type::f32, memory::dims{batch_stride, row_stride, column_stride}};
  }
};

// Strides along dimensions of size 1 mean nothing, and oneDNN takes them for leading dimensions: give them a sane
// value.
void tidy_strides(Matrices& m) {
  if (m.columns == 1 && m.row_stride == 1) {
    m.column_stride = m.rows;  // a contiguous column is a column-major matrix
  } else if (m.columns == 1) {
    m.column_stride = 1;
  }
  if (m.rows == 1 && m.column_stride == 1) {
    m.row_stride = m.columns;
  } else if (m.rows == 1) {
    m.row_stride = 1;
  }
}

// A single row with gaps counts as unreadable: oneDNN 3.7 with AVX-512 misreads it. (A column with gaps is row-major.)
bool readable(const Matrices& m) {
  const bool row_major = m.column_stride == 1 && m.row_stride >= m.columns;
  const bool column_major = m.row_stride == 1 && m.column_stride >= m.rows && m.rows > 1;
  return row_major || column_major;
}

// x is (B, rows, columns) with any strides; what oneDNN cannot read is copied.
Matrices matrices(const Tensor& x) {
  Matrices m{x, x.size(0), x.size(1), x.size(2), x.stride(0), x.stride(1), x.stride(2)};
  if (m.batch_stride == 0) {
    m.batch = 1;
  }
  tidy_strides(m);
  if (!readable(m)) {
    m.owner = x.as_strided({m.batch, m.rows, m.columns}, x.strides(), x.storage_offset()).contiguous();
    m.batch_stride = m.rows * m.columns;
    m.row_stride = m.columns;
    m.column_stride = 1;
  } else if (m.batch == 1) {
    m.batch_stride = std::max(m.rows * m.row_stride, m.columns * m.column_stride);
  }
  return m;
}

// out (contiguous) = a b [+ bias], the sizes all positive.
void multiply(Matrices a, Matrices b, const float* bias, Tensor& out) {
  int64_t batch = std::max(a.batch, b.batch);
  if (b.batch == 1 && a.folds()) {
    a.fold();
    batch = 1;
  }
  const int64_t m = a.rows, k = a.columns, n = b.columns;
  const Key key(PlanKind::matmul, {a.batch, b.batch, m, n, k, a.batch_stride, a.row_stride, a.column_stride,
                                   b.batch_stride, b.row_stride, b.column_stride, bias != nullptr});
  const auto plan = onednn::cached_plan(key, [&] {
    const Matrices c{{}, batch, m, n, m * n, n, 1};
    const memory::desc a_desc = a.desc(batch), b_desc = b.desc(batch), out_desc = c.desc(batch);
    const memory::desc bias_desc = batch == 1 ? memory::desc({1, n}, memory::data_type::f32, memory::dims{n, 1})
                                              : memory::desc({1, 1, n}, memory::data_type::f32, memory::dims{n, n, 1});
    const dnnl::matmul::primitive_desc descriptor =
        bias != nullptr ? onednn::describe<dnnl::matmul>(onednn::cpu_engine(), onednn::plain_attributes(), a_desc,
                                                         b_desc, bias_desc, out_desc)
                        : onednn::describe<dnnl::matmul>(onednn::cpu_engine(), onednn::plain_attributes(), a_desc,
                                                         b_desc, out_desc);
    Plan made = Plan::of<dnnl::matmul>(descriptor);
    made.add_input(DNNL_ARG_SRC, a_desc, a_desc);
    made.add_input(DNNL_ARG_WEIGHTS, b_desc, b_desc);
    made.add_output(DNNL_ARG_DST, out_desc, out_desc);
    if (bias != nullptr) {
      made.add_input(DNNL_ARG_BIAS, bias_desc, bias_desc);
    }
    return made;
  });
  const float* a_data = a.owner.data<float>();
  const float* b_data = b.owner.data<float>();
  float* out_data = out.mutable_data<float>();
  bias != nullptr ? plan->run({a_data, b_data, out_data, bias}) : plan->run({a_data, b_data, out_data});
}

// The rows of an empty sum: zeros, or the bias.
void fill_rows(const float* bias, int64_t columns, Tensor& out) {
  float* data = out.mutable_data<float>();
  for (int64_t i = 0; i < out.numel(); ++i) {
    data[i] = bias != nullptr ? bias[i % columns] : 0.0f;
  }
}

}  // namespace

namespace fast {

void matmul(const Tensor& a, const Tensor& b, Tensor& out) {
  if (out.numel() == 0 || a.size(2) == 0) {
    fill_rows(nullptr, 1, out);
    return;
  }
  multiply(matrices(a), matrices(b), nullptr, out);
}

void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& out) {
  const float* bias_data = bias.defined() ? bias.data<float>() : nullptr;
  const int64_t rows = x.size(0), inputs = x.size(1), outputs = weight.size(0);
  if (out.numel() == 0 || inputs == 0) {
    fill_rows(bias_data, outputs, out);
    return;
  }
  const Tensor x_batch = x.as_strided({1, rows, inputs}, {rows * inputs, inputs, 1}, x.storage_offset());
  const Tensor transposed =
      weight.as_strided({1, inputs, outputs}, {0, weight.stride(1), weight.stride(0)}, weight.storage_offset());
  multiply(matrices(x_batch), matrices(transposed), bias_data, out);
}

}  // namespace fast
}  // namespace sfumato
