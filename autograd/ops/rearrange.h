// Ops that rearrange, repeat and take apart: compositions of views, joins and gathers, so that their gradients are
// those of their parts. Names and meanings are PyTorch's; every dtype is allowed.
//
//   for (const Variable& part : chunk(x, 3, 1)) { ... }        // q, k and v out of one projection
//   Variable y = pad(x, {1, 1, 1, 1}, PadMode::reflect);
//
// Tensors may be passed: they are constants, and so is the result.
#pragma once

#include <span>
#include <vector>

#include "autograd/variable.h"

namespace sfumato {

// ---- dimensions ----

// Moves the dimensions `source` to the places `destination`; the others keep their order.
Variable movedim(const Variable& x, const Dims& source, const Dims& destination);
Variable swapaxes(const Variable& x, int64_t a, int64_t b);
// Dimension `dim` as several: the reverse of flatten(); one size may be -1.
Variable unflatten(const Variable& x, int64_t dim, const Dims& sizes);
Variable expand_as(const Variable& x, const Variable& other);
Variable broadcast_to(const Variable& x, const Shape& shape);

// ---- parts (views) ----

// Pieces of `size`, the last one maybe smaller; or of the sizes given, which must add up.
std::vector<Variable> split(const Variable& x, int64_t size, int64_t dim = 0);
std::vector<Variable> split(const Variable& x, std::span<const int64_t> sizes, int64_t dim = 0);
// At most `chunks` pieces of one size, the last one maybe smaller.
std::vector<Variable> chunk(const Variable& x, int64_t chunks, int64_t dim = 0);
// Every index of `dim`, without that dimension.
std::vector<Variable> unbind(const Variable& x, int64_t dim = 0);

// ---- repetition and order ----

// The whole tensor repeats[d] times along each dimension d; more repeats than dimensions add dimensions in front.
Variable repeat(const Variable& x, const Dims& repeats);
// The same, but fewer repeats than dimensions leave the first ones alone.
Variable tile(const Variable& x, const Dims& repeats);
// Every element `repeats` times in a row.
Variable repeat_interleave(const Variable& x, int64_t repeats, int64_t dim);
// Elements pushed out at one end come in at the other; negative shifts go the other way.
Variable roll(const Variable& x, const Dims& shifts, const Dims& dims);

// ---- images ----

// (N, C r^2, H, W) -> (N, C, r H, r W) (Shi et al. 2016), and back.
Variable pixel_shuffle(const Variable& x, int64_t upscale_factor);
Variable pixel_unshuffle(const Variable& x, int64_t downscale_factor);

// How the elements beside an edge are made; the constant is pad() of "autograd/ops/join.h".
enum class PadMode {
  reflect,    // mirrored, the edge itself not repeated: amounts below the size
  replicate,  // the edge repeated
  circular    // the other end: amounts up to the size
};
// `amounts` are pairs (before, after), the last dimension's first, none negative.
Variable pad(const Variable& x, const Dims& amounts, PadMode mode);

// ---- matrices (the last two dimensions) ----

// What lies on and below (tril) or above (triu) the diagonal-th diagonal; zeros elsewhere.
Variable tril(const Variable& x, int64_t diagonal = 0);
Variable triu(const Variable& x, int64_t diagonal = 0);
// The elements (i, i + offset) of dimensions dim1 and dim2 as a new last dimension.
Variable diagonal(const Variable& x, int64_t offset = 0, int64_t dim1 = -2, int64_t dim2 = -1);
// Zeros of `shape` but for diagonal(.., offset, dim1, dim2), which is `g`: diagonal()'s adjoint.
Variable diagonal_backward(const Variable& g, const Shape& shape, int64_t offset, int64_t dim1, int64_t dim2);
// Square matrices with x's last dimension on a diagonal.
Variable diag_embed(const Variable& x, int64_t offset = 0);

// The grids of coordinate vectors: result i has x_i along dimension i ("ij"), or with the first two exchanged ("xy").
enum class MeshIndexing { ij, xy };
std::vector<Variable> meshgrid(std::span<const Variable> vectors, MeshIndexing indexing = MeshIndexing::ij);

}  // namespace sfumato
