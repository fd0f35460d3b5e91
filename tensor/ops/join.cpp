#include "tensor/ops/join.h"

#include <cstring>
#include <vector>

#include "tensor/ops/view.h"
#include "tensor/parallel.h"

namespace sfumato {

Tensor cat(std::span<const Tensor> tensors, int64_t dim) {
  check(!tensors.empty(), "cat: the list is empty");
  const Tensor& first = tensors[0];
  check(first.dim() > 0, "cat: tensors of rank 0 cannot be joined; stack() them");
  const int d = normalize_dim("cat", dim, first.dim());
  Shape shape = first.shape();
  shape[d] = 0;
  DType dtype = first.dtype();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = tensors[i];
    dtype = promote_types(dtype, tensor.dtype());
    check(tensor.dim() == first.dim(), "cat: tensor ", i, " has shape ", tensor.shape(), " but tensor 0 has ",
          first.shape());
    for (int k = 0; k < first.dim(); ++k) {
      check(k == d || tensor.shape()[k] == shape[k], "cat: shapes must agree except in dimension ", d, ": tensor ", i,
            " has ", tensor.shape(), " but tensor 0 has ", first.shape());
    }
    shape[d] += tensor.shape()[d];
  }
  Tensor out = Tensor::empty(shape, dtype);
  int64_t at = 0;
  for (const Tensor& tensor : tensors) {
    narrow(out, d, at, tensor.shape()[d]).copy_from(tensor);
    at += tensor.shape()[d];
  }
  return out;
}

Tensor cat(std::initializer_list<Tensor> tensors, int64_t dim) {
  return cat(std::span<const Tensor>(tensors.begin(), tensors.size()), dim);
}

Tensor stack(std::span<const Tensor> tensors, int64_t dim) {
  check(!tensors.empty(), "stack: the list is empty");
  const int d = normalize_dim("stack", dim, tensors[0].dim() + 1);
  std::vector<Tensor> slices;
  slices.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    check(tensor.shape() == tensors[0].shape(), "stack: all shapes must be equal, got ", tensors[0].shape(), " and ",
          tensor.shape());
    slices.push_back(unsqueeze(tensor, d));
  }
  return cat(slices, d);
}

Tensor stack(std::initializer_list<Tensor> tensors, int64_t dim) {
  return stack(std::span<const Tensor>(tensors.begin(), tensors.size()), dim);
}

Tensor pad(const Tensor& x, const Dims& amounts, double value) {
  check(amounts.rank() % 2 == 0 && amounts.rank() / 2 <= x.dim(),
        "pad: amounts are (before, after) pairs for at most the ", x.dim(), " dimensions of ", x.shape(), ", got ",
        amounts);
  Shape shape = x.shape();
  for (int pair = 0; pair < amounts.rank() / 2; ++pair) {
    const int d = x.dim() - 1 - pair;
    const int64_t before = amounts[2 * pair];
    const int64_t after = amounts[2 * pair + 1];
    shape[d] += before + after;
    check(shape[d] >= 0 && x.shape()[d] + std::min<int64_t>(before, 0) >= 0 &&
              x.shape()[d] + std::min<int64_t>(after, 0) >= 0,
          "pad: amounts ", before, " and ", after, " crop more of dimension ", d, " than ", x.shape(), " has");
  }
  Tensor out = Tensor::empty(shape, x.dtype());
  // Fill the two slabs at the ends of each padded dimension, then go on inside them: every element is written once.
  Tensor inside = out;
  Tensor source = x;
  for (int pair = amounts.rank() / 2 - 1; pair >= 0; --pair) {
    const int d = x.dim() - 1 - pair;
    const int64_t before = std::max<int64_t>(amounts[2 * pair], 0);
    const int64_t after = std::max<int64_t>(amounts[2 * pair + 1], 0);
    if (before > 0) {
      narrow(inside, d, 0, before).fill(value);
    }
    if (after > 0) {
      narrow(inside, d, shape[d] - after, after).fill(value);
    }
    const int64_t kept = shape[d] - before - after;
    inside = narrow(inside, d, before, kept);
    source = narrow(source, d, std::max<int64_t>(-amounts[2 * pair], 0), kept);
  }
  inside.copy_from(source);
  return out;
}

namespace {

// out[i] = in[i * stride]; the stride may be negative.
template <class T>
void copy_run(const T* in, int64_t stride, T* out, int64_t count) {
  if (stride == 1) {
    std::memcpy(out, in, static_cast<size_t>(count) * sizeof(T));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    out[i] = in[i * stride];
  }
}

// Copies x with the masked dimensions reversed, one row of the last dimension at a time.
template <class T>
void flip_rows(const Tensor& x, uint32_t mask, Tensor& out) {
  const int rank = x.dim();
  const int64_t row = x.shape()[rank - 1];
  const T* in = x.data<T>();
  T* to = out.mutable_data<T>();
  parallel_for(x.numel() / row, std::max<int64_t>(1, 16384 / row), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t rest = r;
      int64_t offset = 0;
      for (int d = rank - 2; d >= 0; --d) {
        const int64_t size = x.shape()[d];
        const int64_t i = rest % size;
        rest /= size;
        offset += ((mask >> d & 1u) != 0 ? size - 1 - i : i) * x.strides()[d];
      }
      const int64_t stride = x.strides()[rank - 1];
      const bool reversed = (mask >> (rank - 1) & 1u) != 0;
      copy_run(in + offset + (reversed ? (row - 1) * stride : 0), reversed ? -stride : stride, to + r * row, row);
    }
  });
}

}  // namespace

Tensor flip(const Tensor& x, const Dims& dims) {
  uint32_t mask = 0;
  for (const int64_t dim : dims) {
    const int d = normalize_dim("flip", dim, x.dim());
    check((mask >> d & 1u) == 0, "flip: dim ", d, " appears twice in ", dims);
    mask |= 1u << d;
  }
  if (x.dim() == 0 || x.numel() == 0) {
    return x.clone();
  }
  Tensor out = Tensor::empty(x.shape(), x.dtype());
  dispatch<kAllDTypes>("flip", x.dtype(), [&]<class T>() { flip_rows<T>(x, mask, out); });
  return out;
}

}  // namespace sfumato
