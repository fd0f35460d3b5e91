#include "tensor/ops/matmul.h"

#include "tensor/backend/backend.h"
#include "tensor/cost.h"
#include "tensor/ops/widened.h"

namespace sfumato {
namespace {

void check_inputs(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  check(a.defined() && b.defined(), op, ": ", a.defined() ? b_name : a_name, " is undefined");
  check_dtype(op, kFloats, a.dtype());
  check(a.dtype() == b.dtype(), op, ": ", a_name, " is ", a.dtype(), " but ", b_name, " is ", b.dtype());
}

Tensor with_dim_inserted(const Tensor& x, int at) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.insert(at, 1);
  strides.insert(at, 1);
  return x.as_strided(shape, strides, x.storage_offset());
}

Shape batch_of(const Tensor& x) { return Shape(x.shape().span().first(static_cast<size_t>(x.dim() - 2))); }

// x (..., rows, columns) broadcast over `batch` and seen as (B, rows, columns). Its batch dimensions become one stride
// where memory allows it (0 for a matrix that is repeated); else the matrices are copied.
Tensor as_batch(const Tensor& x, const Shape& batch) {
  const int own = x.dim() - 2, lead = batch.rank() - own;
  const int64_t rows = x.size(-2), columns = x.size(-1);
  int64_t stride = 0, count = 1;  // of the dimensions folded so far, from the last
  bool folds = true;
  for (int i = batch.rank() - 1; i >= 0; --i) {
    if (batch[i] == 1) {
      continue;
    }
    const int64_t step = i < lead || x.shape()[i - lead] == 1 ? 0 : x.strides()[i - lead];
    folds = folds && (count == 1 || step == stride * count);
    stride = count == 1 ? step : stride;
    count *= batch[i];
  }
  const int64_t batches = batch.numel();
  if (folds) {
    return x.as_strided({batches, rows, columns}, {stride, x.stride(-2), x.stride(-1)}, x.storage_offset());
  }
  Shape shape = batch;
  Strides strides = Strides::filled(batch.rank(), 0);
  for (int i = lead; i < batch.rank(); ++i) {
    strides[i] = x.shape()[i - lead] == 1 ? 0 : x.strides()[i - lead];
  }
  for (int64_t d : {-2, -1}) {
    shape.push_back(x.size(d));
    strides.push_back(x.stride(d));
  }
  return x.as_strided(shape, strides, x.storage_offset()).contiguous().reshape({batches, rows, columns});
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  check_inputs("matmul", "a", a, "b", b);
  check(a.dim() >= 1 && b.dim() >= 1, "matmul: both arguments need at least 1 dimension, got a ", a.shape(), " and b ",
        b.shape());
  const Tensor left = a.dim() == 1 ? with_dim_inserted(a, 0) : a;
  const Tensor right = b.dim() == 1 ? with_dim_inserted(b, 1) : b;
  check(left.size(-1) == right.size(-2), "matmul: a ", a.shape(), " has ", left.size(-1), " columns but b ", b.shape(),
        " has ", right.size(-2), " rows");

  if (a.dtype() == DType::bf16) {
    return matmul(widened(a), widened(b)).to(DType::bf16);
  }
  const Shape batch = broadcast_shapes("matmul", batch_of(left), batch_of(right));
  const Tensor left_batch = as_batch(left, batch), right_batch = as_batch(right, batch);
  Tensor out = Tensor::empty({batch.numel(), left.size(-2), right.size(-1)}, a.dtype());
  report_cost("matmul", {&left_batch, &right_batch, &out},
              2.0 * static_cast<double>(out.numel()) * static_cast<double>(left.size(-1)));
  use_fast(a.dtype()) ? fast::matmul(left_batch, right_batch, out) : reference::matmul(left_batch, right_batch, out);

  Shape shape = batch;
  if (a.dim() > 1) {
    shape.push_back(left.size(-2));
  }
  if (b.dim() > 1) {
    shape.push_back(right.size(-1));
  }
  return out.reshape(shape);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check_inputs("linear", "input", x, "weight", weight);
  check(weight.dim() == 2, "linear: weight must be (O, I), got ", weight.shape());
  check(x.dim() >= 1 && x.size(-1) == weight.size(1), "linear: input ", x.shape(), " must end in ", weight.size(1),
        " features, as weight ", weight.shape(), " says");
  const int64_t inputs = weight.size(1), outputs = weight.size(0);
  Tensor plain_bias;
  if (bias.defined()) {
    check_inputs("linear", "input", x, "bias", bias);
    check(bias.shape() == Shape{outputs}, "linear: bias has shape ", bias.shape(), " but weight ", weight.shape(),
          " has ", outputs, " outputs");
    plain_bias = bias.contiguous();
  }
  if (x.dtype() == DType::bf16) {
    return linear(widened(x), widened(weight), widened(bias)).to(DType::bf16);
  }
  Shape shape = x.shape();
  shape.erase(shape.rank() - 1);
  const int64_t rows = shape.numel();
  const Tensor x_rows = x.contiguous().reshape({rows, inputs});
  Tensor out = Tensor::empty({rows, outputs}, x.dtype());
  report_cost("linear", {&x_rows, &weight, &out},
              2.0 * static_cast<double>(rows) * static_cast<double>(inputs) * static_cast<double>(outputs));
  use_fast(x.dtype()) ? fast::linear(x_rows, weight, plain_bias, out)
                      : reference::linear(x_rows, weight, plain_bias, out);
  shape.push_back(outputs);
  return out.reshape(shape);
}

}  // namespace sfumato
