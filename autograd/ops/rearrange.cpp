#include "autograd/ops/rearrange.h"

#include <algorithm>

#include "autograd/ops/index.h"
#include "autograd/ops/join.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"
#include "tensor/ops/compare.h"
#include "tensor/ops/elementwise.h"

namespace sfumato {

// ---- dimensions ----

Variable movedim(const Variable& x, const Dims& source, const Dims& destination) {
  check(source.rank() == destination.rank(), "movedim: ", source.rank(), " source dims ", source, " but ",
        destination.rank(), " destinations ", destination);
  Dims order = Dims::filled(x.dim(), -1);
  uint32_t moved = 0;
  for (int i = 0; i < source.rank(); ++i) {
    const int from = normalize_dim("movedim", source[i], x.dim());
    const int to = normalize_dim("movedim", destination[i], x.dim());
    check((moved >> from & 1u) == 0 && order[to] < 0, "movedim: a dimension appears twice in ", source, " or ",
          destination);
    moved |= 1u << from;
    order[to] = from;
  }
  int next = 0;
  for (int d = 0; d < x.dim(); ++d) {
    if (order[d] < 0) {
      while ((moved >> next & 1u) != 0) {
        ++next;
      }
      order[d] = next++;
    }
  }
  return permute(x, order);
}

Variable swapaxes(const Variable& x, int64_t a, int64_t b) { return transpose(x, a, b); }
Variable expand_as(const Variable& x, const Variable& other) { return expand(x, other.shape()); }
Variable broadcast_to(const Variable& x, const Shape& shape) { return expand(x, shape); }

Variable unflatten(const Variable& x, int64_t dim, const Dims& sizes) {
  check(x.dim() > 0, "unflatten: a tensor of rank 0 has no dimension to take apart");
  check(sizes.rank() > 0, "unflatten: sizes must not be empty");
  const int d = normalize_dim("unflatten", dim, x.dim());
  int64_t known = 1;
  int inferred = -1;
  for (int i = 0; i < sizes.rank(); ++i) {
    check(sizes[i] >= 0 || (sizes[i] == -1 && inferred < 0), "unflatten: sizes ", sizes,
          " must not be negative, but for one -1");
    inferred = sizes[i] == -1 ? i : inferred;
    known *= sizes[i] == -1 ? 1 : sizes[i];
  }
  const int64_t size = x.shape()[d];
  check(inferred >= 0 ? known > 0 && size % known == 0 : known == size, "unflatten: dimension ", d, " of size ", size,
        " cannot be taken apart into ", sizes);
  Shape shape;
  for (int i = 0; i < x.dim(); ++i) {
    if (i != d) {
      shape.push_back(x.shape()[i]);
      continue;
    }
    for (int k = 0; k < sizes.rank(); ++k) {
      shape.push_back(k == inferred ? size / known : sizes[k]);
    }
  }
  return reshape(x, shape);
}

// ---- parts ----

namespace {

int dim_to_cut(const char* op, const Variable& x, int64_t dim) {
  check(x.dim() > 0, op, ": a tensor of rank 0 cannot be taken apart");
  return normalize_dim(op, dim, x.dim());
}

}  // namespace

std::vector<Variable> split(const Variable& x, int64_t size, int64_t dim) {
  const int d = dim_to_cut("split", x, dim);
  check(size >= 1, "split: pieces must have at least 1 element, got ", size);
  const int64_t whole = x.shape()[d];
  std::vector<Variable> parts;
  for (int64_t at = 0; at < std::max<int64_t>(whole, 1); at += size) {
    parts.push_back(narrow(x, d, at, std::min(size, whole - at)));
  }
  return parts;
}

std::vector<Variable> split(const Variable& x, std::span<const int64_t> sizes, int64_t dim) {
  const int d = dim_to_cut("split", x, dim);
  int64_t total = 0;
  for (const int64_t size : sizes) {
    check(size >= 0, "split: a size must not be negative, got ", size);
    total += size;
  }
  check(total == x.shape()[d], "split: the sizes add up to ", total, " but dimension ", d, " of ", x.shape(), " has ",
        x.shape()[d]);
  std::vector<Variable> parts;
  int64_t at = 0;
  for (const int64_t size : sizes) {
    parts.push_back(narrow(x, d, at, size));
    at += size;
  }
  return parts;
}

std::vector<Variable> chunk(const Variable& x, int64_t chunks, int64_t dim) {
  const int d = dim_to_cut("chunk", x, dim);
  check(chunks >= 1, "chunk: at least 1 chunk, got ", chunks);
  return split(x, std::max<int64_t>((x.shape()[d] + chunks - 1) / chunks, 1), d);
}

std::vector<Variable> unbind(const Variable& x, int64_t dim) {
  const int d = dim_to_cut("unbind", x, dim);
  std::vector<Variable> parts;
  for (int64_t i = 0; i < x.shape()[d]; ++i) {
    parts.push_back(select(x, d, i));
  }
  return parts;
}

// ---- repetition and order ----

namespace {

// (a, b) -> (r_0, a, r_1, b) by strides of 0 -> (r_0 a, r_1 b): one copy, made by the last reshape.
Variable repeated(const char* op, const Variable& x, const Dims& repeats) {
  check(repeats.rank() >= x.dim(), op, ": ", repeats.rank(), " repeats ", repeats, " for the ", x.dim(),
        " dimensions of ", x.shape());
  Shape spread, merged;
  const int added = repeats.rank() - x.dim();
  Variable wide = x;
  for (int d = 0; d < repeats.rank(); ++d) {
    check(repeats[d] >= 0, op, ": repeats must not be negative, got ", repeats);
    const int64_t size = d < added ? 1 : x.shape()[d - added];
    merged.push_back(repeats[d] * size);
    // Dimensions that are not repeated need no place of their own; there are only eight.
    if (repeats[d] != 1) {
      wide = unsqueeze(wide, spread.rank());
      spread.push_back(repeats[d]);
    }
    if (d >= added) {
      spread.push_back(size);
    }
  }
  return reshape(expand(wide, spread), merged);
}

}  // namespace

Variable repeat(const Variable& x, const Dims& repeats) { return repeated("repeat", x, repeats); }

Variable tile(const Variable& x, const Dims& repeats) {
  Dims all = repeats;
  while (all.rank() < x.dim()) {
    all.insert(0, 1);
  }
  return repeated("tile", x, all);
}

Variable repeat_interleave(const Variable& x, int64_t repeats, int64_t dim) {
  const int d = dim_to_cut("repeat_interleave", x, dim);
  check(repeats >= 0, "repeat_interleave: repeats must not be negative, got ", repeats);
  Shape spread = x.shape(), merged = x.shape();
  spread.insert(d + 1, repeats);
  merged[d] *= repeats;
  return reshape(expand(unsqueeze(x, d + 1), spread), merged);
}

Variable roll(const Variable& x, const Dims& shifts, const Dims& dims) {
  check(shifts.rank() == dims.rank(), "roll: ", shifts.rank(), " shifts ", shifts, " but ", dims.rank(), " dims ",
        dims);
  Variable rolled = x;
  for (int i = 0; i < dims.rank(); ++i) {
    const int d = dim_to_cut("roll", x, dims[i]);
    const int64_t size = x.shape()[d];
    const int64_t shift = size > 0 ? ((shifts[i] % size) + size) % size : 0;
    if (shift != 0) {
      rolled = cat({narrow(rolled, d, size - shift, shift), narrow(rolled, d, 0, size - shift)}, d);
    }
  }
  return rolled;
}

// ---- images ----

Variable pixel_shuffle(const Variable& x, int64_t r) {
  check(x.dim() == 4, "pixel_shuffle: input must be (N, C, H, W), got ", x.shape());
  check(r >= 1 && x.size(1) % (r * r) == 0, "pixel_shuffle: ", x.size(1), " channels of ", x.shape(),
        " do not divide by the square of upscale_factor ", r);
  const int64_t n = x.size(0), c = x.size(1) / (r * r), h = x.size(2), w = x.size(3);
  return reshape(permute(reshape(x, {n, c, r, r, h, w}), {0, 1, 4, 2, 5, 3}), {n, c, h * r, w * r});
}

Variable pixel_unshuffle(const Variable& x, int64_t r) {
  check(x.dim() == 4, "pixel_unshuffle: input must be (N, C, H, W), got ", x.shape());
  check(r >= 1 && x.size(2) % r == 0 && x.size(3) % r == 0, "pixel_unshuffle: height and width of ", x.shape(),
        " do not divide by downscale_factor ", r);
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2) / r, w = x.size(3) / r;
  return reshape(permute(reshape(x, {n, c, h, r, w, r}), {0, 1, 3, 5, 2, 4}), {n, c * r * r, h, w});
}

namespace {

// Which element of a line of `size` stands `before` or more places from its beginning.
int64_t source_of(int64_t at, int64_t size, PadMode mode) {
  switch (mode) {
    case PadMode::reflect: return at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
    case PadMode::replicate: return std::clamp<int64_t>(at, 0, size - 1);
    case PadMode::circular: return (at + size) % size;
  }
  return at;
}

}  // namespace

Variable pad(const Variable& x, const Dims& amounts, PadMode mode) {
  check(amounts.rank() % 2 == 0 && amounts.rank() / 2 <= x.dim(),
        "pad: amounts are (before, after) pairs for at most the ", x.dim(), " dimensions of ", x.shape(), ", got ",
        amounts);
  Variable padded = x;
  for (int pair = 0; pair < amounts.rank() / 2; ++pair) {
    const int d = x.dim() - 1 - pair;
    const int64_t size = x.shape()[d], before = amounts[2 * pair], after = amounts[2 * pair + 1];
    if (before == 0 && after == 0) {
      continue;
    }
    const int64_t most = mode == PadMode::reflect    ? size - 1
                         : mode == PadMode::circular ? size
                         : size > 0                  ? std::max(before, after)
                                                     : 0;
    check(before >= 0 && after >= 0 && before <= most && after <= most, "pad: amounts ", before, " and ", after,
          " must be in 0..", most, " for dimension ", d, " of ", x.shape());
    Tensor index = Tensor::empty({before + size + after}, DType::i64);
    for (int64_t i = 0; i < index.numel(); ++i) {
      index.mutable_data<int64_t>()[i] = source_of(i - before, size, mode);
    }
    padded = index_select(padded, d, index);
  }
  return padded;
}

// ---- matrices ----

namespace {

// True at (i, j) where j - i <= diagonal.
Tensor at_or_below(const char* op, const Variable& x, int64_t diagonal) {
  check(x.dim() >= 2, op, ": input must be (..., rows, columns), got ", x.shape());
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const Tensor row = arange(0, static_cast<double>(rows), 1, DType::i64).reshape({rows, 1});
  const Tensor column = arange(0, static_cast<double>(columns), 1, DType::i64);
  return le(sub(column, row), static_cast<double>(diagonal));
}

}  // namespace

Variable tril(const Variable& x, int64_t diagonal) {
  return masked_fill(x, logical_not(at_or_below("tril", x, diagonal)), 0);
}
Variable triu(const Variable& x, int64_t diagonal) { return masked_fill(x, at_or_below("triu", x, diagonal - 1), 0); }

namespace {

// The diagonal as a view of a tensor of this layout.
Tensor diagonal_view(const Tensor& x, int64_t offset, int64_t dim1, int64_t dim2) {
  const int a = normalize_dim("diagonal", dim1, x.dim()), b = normalize_dim("diagonal", dim2, x.dim());
  check(a != b, "diagonal: dim1 and dim2 must differ, both are ", a);
  const int64_t rows = x.shape()[a], columns = x.shape()[b];
  const int64_t length =
      std::max<int64_t>(offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns), 0);
  Shape shape;
  Strides strides;
  for (int d = 0; d < x.dim(); ++d) {
    if (d != a && d != b) {
      shape.push_back(x.shape()[d]);
      strides.push_back(x.strides()[d]);
    }
  }
  shape.push_back(length);
  strides.push_back(x.strides()[a] + x.strides()[b]);
  const int64_t first = length > 0 ? (offset >= 0 ? offset * x.strides()[b] : -offset * x.strides()[a]) : 0;
  return x.as_strided(shape, strides, x.storage_offset() + first);
}

}  // namespace

Variable diagonal(const Variable& x, int64_t offset, int64_t dim1, int64_t dim2) {
  check(x.dim() >= 2, "diagonal: input must have at least 2 dimensions, got ", x.shape());
  return record("diagonal", diagonal_view(x.tensor(), offset, dim1, dim2),
                wrt(x, [from = x.shape(), offset, dim1, dim2](const Variable& g) {
                  return diagonal_backward(g, from, offset, dim1, dim2);
                }));
}

Variable diagonal_backward(const Variable& g, const Shape& shape, int64_t offset, int64_t dim1, int64_t dim2) {
  Tensor out = zeros(shape, g.dtype());
  Tensor view = diagonal_view(out, offset, dim1, dim2);
  check(view.shape() == g.shape(), "diagonal_backward: the diagonal of ", shape, " has shape ", view.shape(), ", got ",
        g.shape());
  view.copy_from(g.tensor());
  return record("diagonal_backward", out,
                wrt(g, [offset, dim1, dim2](const Variable& gg) { return diagonal(gg, offset, dim1, dim2); }));
}

Variable diag_embed(const Variable& x, int64_t offset) {
  check(x.dim() >= 1, "diag_embed: input must have at least 1 dimension");
  const int64_t side = x.size(-1) + std::abs(offset);
  Shape shape = x.shape();
  shape[shape.rank() - 1] = side;
  shape.push_back(side);
  return diagonal_backward(x, shape, offset, -2, -1);
}

std::vector<Variable> meshgrid(std::span<const Variable> vectors, MeshIndexing indexing) {
  check(!vectors.empty(), "meshgrid: the list is empty");
  const bool swapped = indexing == MeshIndexing::xy && vectors.size() >= 2;
  const auto place = [&](size_t i) { return static_cast<int>(swapped && i < 2 ? 1 - i : i); };
  Shape grid = Shape::filled(static_cast<int>(vectors.size()), 1);
  for (size_t i = 0; i < vectors.size(); ++i) {
    check(vectors[i].dim() == 1, "meshgrid: inputs must be vectors, got shape ", vectors[i].shape());
    grid[place(i)] = vectors[i].size(0);
  }
  std::vector<Variable> grids;
  for (size_t i = 0; i < vectors.size(); ++i) {
    Shape along = Shape::filled(grid.rank(), 1);
    along[place(i)] = vectors[i].size(0);
    grids.push_back(expand(reshape(vectors[i], along), grid));
  }
  return grids;
}

}  // namespace sfumato
