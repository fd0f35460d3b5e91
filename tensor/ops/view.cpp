#include "tensor/ops/view.h"

#include <optional>

namespace sfumato {
namespace {

// `shape` with its -1, if any, replaced by what makes the number of elements come out.
Shape resolve_shape(const Tensor& x, const Shape& shape) {
  Shape resolved = shape;
  int inferred = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1) {
      check(inferred < 0, "reshape: only one size may be -1, got ", shape);
      inferred = i;
      resolved[i] = 1;
    }
  }
  const int64_t known = checked_numel("reshape", resolved);
  if (inferred >= 0) {
    check(known > 0 && x.numel() % known == 0, "reshape: cannot infer -1 in ", shape, " from a tensor of shape ",
          x.shape(), " (", x.numel(), " elements)");
    resolved[inferred] = x.numel() / known;
  }
  check(resolved.numel() == x.numel(), "reshape: shape ", shape, " has ", resolved.numel(), " elements but the input ",
        x.shape(), " has ", x.numel());
  return resolved;
}

// Strides under which `shape` walks x's elements in row-major order, if there are any. Walks x's dimensions from the
// last to the first in groups that memory lays out without gaps; each group must be a product of trailing new sizes.
std::optional<Strides> view_strides(const Tensor& x, const Shape& shape) {
  if (x.is_contiguous() || x.numel() == 0) {
    return contiguous_strides(shape);
  }
  Strides strides = Strides::filled(shape.rank(), 0);
  int next = shape.rank() - 1;
  int64_t group_stride = x.strides()[x.dim() - 1];
  int64_t group_numel = 1;
  int64_t covered = 1;
  for (int d = x.dim() - 1; d >= 0; --d) {
    group_numel *= x.shape()[d];
    const bool group_ends = d == 0 || (x.shape()[d - 1] != 1 && x.strides()[d - 1] != group_numel * group_stride);
    if (!group_ends) {
      continue;
    }
    for (; next >= 0 && (covered < group_numel || shape[next] == 1); --next) {
      strides[next] = covered * group_stride;
      covered *= shape[next];
    }
    if (covered != group_numel) {
      return std::nullopt;
    }
    if (d > 0) {
      group_stride = x.strides()[d - 1];
      group_numel = covered = 1;
    }
  }
  return strides;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Shape resolved = resolve_shape(x, shape);
  if (const auto strides = view_strides(x, resolved)) {
    return x.as_strided(resolved, *strides, x.storage_offset());
  }
  const Tensor copy = x.contiguous();
  return copy.as_strided(resolved, contiguous_strides(resolved), copy.storage_offset());
}

Tensor flatten(const Tensor& x, int64_t start, int64_t end) {
  const int first = normalize_dim("flatten", start, x.dim());
  const int last = normalize_dim("flatten", end, x.dim());
  check(first <= last, "flatten: start dim ", start, " comes after end dim ", end, " in shape ", x.shape());
  Shape shape;
  int64_t merged = 1;
  for (int d = 0; d < x.dim(); ++d) {
    if (d < first || d > last) {
      shape.push_back(x.shape()[d]);
      continue;
    }
    merged *= x.shape()[d];
    if (d == last) {
      shape.push_back(merged);
    }
  }
  return reshape(x, x.dim() == 0 ? Shape{1} : shape);
}

Tensor permute(const Tensor& x, const Dims& dims) {
  check(dims.rank() == x.dim(), "permute: ", dims.rank(), " dims ", dims, " for a tensor of shape ", x.shape());
  Shape shape = x.shape();
  Strides strides = x.strides();
  uint32_t seen = 0;
  for (int i = 0; i < dims.rank(); ++i) {
    const int d = normalize_dim("permute", dims[i], x.dim());
    check((seen >> d & 1u) == 0, "permute: dim ", d, " appears twice in ", dims);
    seen |= 1u << d;
    shape[i] = x.shape()[d];
    strides[i] = x.strides()[d];
  }
  return x.as_strided(shape, strides, x.storage_offset());
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  const int i = normalize_dim("transpose", a, x.dim());
  const int j = normalize_dim("transpose", b, x.dim());
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[i], shape[j]);
  std::swap(strides[i], strides[j]);
  return x.as_strided(shape, strides, x.storage_offset());
}

Tensor expand(const Tensor& x, const Shape& shape) {
  const int added = shape.rank() - x.dim();
  check(added >= 0, "expand: shape ", shape, " has fewer dimensions than the input ", x.shape());
  Shape out = shape;
  Strides strides = Strides::filled(shape.rank(), 0);
  for (int i = 0; i < shape.rank(); ++i) {
    const int64_t own = i < added ? 1 : x.shape()[i - added];
    check(shape[i] >= 0 || (shape[i] == -1 && i >= added), "expand: size ", shape[i], " of dimension ", i, " in ",
          shape, " (-1 keeps a size that exists)");
    out[i] = shape[i] == -1 ? own : shape[i];
    check(own == out[i] || own == 1, "expand: dimension ", i, " of ", shape, " cannot come from size ", own,
          ": only size 1 repeats, the input has shape ", x.shape());
    strides[i] = i < added || own != out[i] ? 0 : x.strides()[i - added];
  }
  return x.as_strided(out, strides, x.storage_offset());
}

Tensor unsqueeze(const Tensor& x, int64_t dim) {
  const int d = normalize_dim("unsqueeze", dim, x.dim() + 1);
  Shape shape = x.shape();
  Strides strides = x.strides();
  // The stride of a size-1 dimension is never used; this one keeps the tensor row-major where it was.
  const int64_t stride = d < x.dim() ? x.shape()[d] * x.strides()[d] : 1;
  shape.insert(d, 1);
  strides.insert(d, stride);
  return x.as_strided(shape, strides, x.storage_offset());
}

Tensor squeeze(const Tensor& x, int64_t dim) {
  const int d = normalize_dim("squeeze", dim, x.dim());
  if (x.dim() == 0 || x.shape()[d] != 1) {
    return x;
  }
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(d);
  strides.erase(d);
  return x.as_strided(shape, strides, x.storage_offset());
}

Tensor slice(const Tensor& x, int64_t dim, int64_t begin, int64_t end, int64_t step) {
  check(x.dim() > 0, "slice: a tensor of rank 0 cannot be sliced");
  check(step >= 1, "slice: step must be at least 1, got ", step);
  const int d = normalize_dim("slice", dim, x.dim());
  const int64_t size = x.shape()[d];
  const auto bound = [size](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  const int64_t first = bound(begin);
  const int64_t length = std::max<int64_t>(bound(end) - first, 0);
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape[d] = length / step + (length % step != 0);
  strides[d] *= shape[d] > 1 ? step : 1;
  return x.as_strided(shape, strides, x.storage_offset() + (length > 0 ? first * x.strides()[d] : 0));
}

Tensor narrow(const Tensor& x, int64_t dim, int64_t begin, int64_t length) {
  check(x.dim() > 0, "narrow: a tensor of rank 0 cannot be narrowed");
  const int d = normalize_dim("narrow", dim, x.dim());
  const int64_t size = x.shape()[d];
  check(begin >= 0 && length >= 0 && begin <= size && length <= size - begin, "narrow: elements ", begin, "..", begin,
        " + ", length, " of dimension ", d, " do not lie within its size ", size);
  return slice(x, d, begin, begin + length);
}

Tensor select(const Tensor& x, int64_t dim, int64_t i) {
  check(x.dim() > 0, "select: a tensor of rank 0 has no dimension to select from");
  const int d = normalize_dim("select", dim, x.dim());
  const int64_t size = x.shape()[d];
  check(i >= -size && i < size, "select: index ", i, " is out of range for dimension ", d, " of size ", size);
  Shape shape = x.shape();
  Strides strides = x.strides();
  shape.erase(d);
  strides.erase(d);
  return x.as_strided(shape, strides, x.storage_offset() + (i < 0 ? i + size : i) * x.strides()[d]);
}

}  // namespace sfumato
