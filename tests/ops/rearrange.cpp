// Rows of the ops that rearrange, repeat and take apart ("autograd/ops/rearrange.h").
#include "autograd/ops/rearrange.h"

#include <algorithm>

#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

Row moving(const char* name, std::function<Sample(Draw&)> draw, std::vector<Misuse> misuses = {}) {
  return {.name = name, .dtypes = kAllDTypes, .draw = std::move(draw), .misuses = std::move(misuses)};
}

Sample draw_movedim(Draw& d) {
  const Shape shape = d.shape(1);
  const int from = static_cast<int>(d.integer(0, shape.rank() - 1)),
            to = static_cast<int>(d.integer(0, shape.rank() - 1));
  std::vector<int> order;
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != from) order.push_back(i);
  }
  order.insert(order.begin() + to, from);
  Shape moved;
  for (const int i : order) moved.push_back(shape[i]);
  return {.inputs = {d.any(shape)},
          .call = [=](Inputs x) { return movedim(x[0], {from - shape.rank()}, {to}); },
          .formula = picked(moved, [=](const Dims& at) {
            Dims source = shape;
            for (int i = 0; i < shape.rank(); ++i) source[order[static_cast<size_t>(i)]] = at[i];
            return flat(shape, source);
          })};
}

// The parts of a split, put together again in reverse order, so that each is seen to be where it should.
template <class Split>
Row parts_row(const char* name, Split take_apart, std::vector<Misuse> misuses) {
  return moving(
      name,
      [take_apart](Draw& d) {
        const Shape shape = d.shape(1);
        const int dim = static_cast<int>(d.integer(0, shape.rank() - 1));
        const int64_t size = shape[dim], first = size / 3;
        return Sample{.inputs = {d.any(shape)}, .call = [=](Inputs x) {
                        auto parts = take_apart(x[0], dim, first);
                        if (parts.size() == 1) return parts[0];
                        return cat({parts.back(), parts.front()}, dim);
                      }};
      },
      std::move(misuses));
}

std::vector<Row> part_rows() {
  return {
      parts_row("split",
                [](const Variable& x, int64_t dim, int64_t first) {
                  const int64_t size = x.size(dim);
                  const std::vector<int64_t> sizes{first, size - first};
                  return first > 0 ? split(x, sizes, dim) : split(x, std::max<int64_t>(size, 1), dim);
                },
                {{"at least 1 element, got 0", [] { split(ones({2}), 0); }},
                 {"the sizes add up to 3 but dimension 0 of (2,) has 2",
                  [] {
                    const std::vector<int64_t> sizes{1, 2};
                    split(ones({2}), sizes);
                  }},
                 {"rank 0 cannot be taken apart", [] { split(ones({}), 1); }}}),
      parts_row("chunk", [](const Variable& x, int64_t dim, int64_t) { return chunk(x, 2, dim); },
                {{"at least 1 chunk, got 0", [] { chunk(ones({2}), 0); }}}),
      moving("unbind",
             [](Draw& d) {
               const Shape shape = d.shape(1);
               const int dim = static_cast<int>(d.integer(0, shape.rank() - 1));
               Shape rest = shape;
               rest.erase(dim);
               const int64_t last = shape[dim] - 1;
               return Sample{.inputs = {d.any(shape)},
                             .call =
                                 [=](Inputs x) {
                                   const auto parts = unbind(x[0], dim);
                                   return parts.empty() ? narrow(x[0], dim, 0, 0) : parts.back();
                                 },
                             .formula = last < 0 ? picked(shape, [](const Dims&) { return int64_t{0}; })
                                                 : picked(rest, [=](const Dims& at) {
                                                     Dims source = at;
                                                     source.insert(dim, last);
                                                     return flat(shape, source);
                                                   })};
             },
             {{"rank 0 cannot be taken apart", [] { unbind(ones({})); }}}),
  };
}

std::vector<Row> dimension_rows() {
  return {
      moving("movedim", draw_movedim,
             {{"2 source dims (0, 1) but 1 destinations",
               [] {
                 movedim(ones({2, 3}), {0, 1}, {0});
               }},
              {"a dimension appears twice",
               [] {
                 movedim(ones({2, 3}), {0, 0}, {0, 1});
               }}}),
      moving("swapaxes",
             [](Draw& d) {
               const Shape shape = d.shape(2, 3);
               return Sample{.inputs = {d.any(shape)}, .call = [](Inputs x) { return swapaxes(x[0], 0, -1); }};
             }),
      moving("unflatten",
             [](Draw& d) {
               const int64_t a = d.size(9), b = d.size(9), n = d.batch(9);
               return Sample{.inputs = {d.any({n, a * b})},
                             .call =
                                 [=](Inputs x) {
                                   return unflatten(x[0], -1, {a, -1});
                                 },
                             .formula = picked({n, a, b}, [=](const Dims& at) {
                               return flat({n, a, b}, at);
                             })};
             },
             {{"cannot be taken apart into (4, -1)",
               [] {
                 unflatten(ones({2, 6}), 1, {4, -1});
               }},
              {"sizes must not be empty",
               [] {
                 unflatten(ones({2, 6}), 1, {});
               }},
              {"must not be negative, but for one -1",
               [] {
                 unflatten(ones({2, 6}), 1, {-1, -1});
               }}}),
      moving("expand_as",
             [](Draw& d) {
               const Shape shape = d.shape(1);
               const Tensor like = ones(shape);
               Shape narrowed = shape;
               narrowed[0] = 1;
               return Sample{.inputs = {d.any(narrowed)}, .call = [=](Inputs x) { return expand_as(x[0], like); }};
             }),
      moving("broadcast_to",
             [](Draw& d) {
               const Shape shape = d.shape(1);
               Shape narrowed = shape;
               narrowed.erase(0);
               return Sample{.inputs = {d.any(narrowed)}, .call = [=](Inputs x) { return broadcast_to(x[0], shape); }};
             }),
  };
}

// Sizes small enough to be repeated.
Shape few(Draw& d) {
  Shape shape;
  for (int64_t i = d.integer(1, 3); i > 0; --i) shape.push_back(d.size(9));
  shape[0] = d.sizes() == Sizes::empty ? 0 : shape[0];
  return shape;
}

Sample draw_repeat(Draw& d, bool is_tile) {
  const Shape shape = few(d);
  Dims repeats;
  for (int i = 0; i < shape.rank(); ++i) repeats.push_back(d.integer(1, 3));
  Dims told = repeats;
  if (is_tile && repeats.rank() > 1) {
    told.erase(0);
    repeats[0] = 1;
  } else if (!is_tile && d.chance()) {
    told.insert(0, 2);
    repeats.insert(0, 2);
  }
  const int added = repeats.rank() - shape.rank();
  Shape out;
  for (int i = 0; i < repeats.rank(); ++i) out.push_back(repeats[i] * (i < added ? 1 : shape[i - added]));
  return {.inputs = {d.any(shape)},
          .call = [=](Inputs x) { return is_tile ? tile(x[0], told) : repeat(x[0], told); },
          .formula = picked(out, [=](const Dims& at) {
            Dims source = shape;
            for (int i = 0; i < shape.rank(); ++i) source[i] = at[i + added] % shape[i];
            return flat(shape, source);
          })};
}

std::vector<Row> repetition_rows() {
  return {
      moving("repeat", [](Draw& d) { return draw_repeat(d, false); },
             {{"1 repeats (2,) for the 2 dimensions of (2, 3)",
               [] {
                 repeat(ones({2, 3}), {2});
               }},
              {"must not be negative", [] { repeat(ones({2}), {-1}); }}}),
      moving("tile", [](Draw& d) { return draw_repeat(d, true); },
             {{"must not be negative", [] { tile(ones({2}), {-1}); }}}),
      moving("repeat_interleave",
             [](Draw& d) {
               const Shape shape = few(d);
               const int dim = static_cast<int>(d.integer(0, shape.rank() - 1));
               const int64_t n = d.integer(1, 3);
               Shape out = shape;
               out[dim] *= n;
               return Sample{.inputs = {d.any(shape)},
                             .call = [=](Inputs x) { return repeat_interleave(x[0], n, dim - shape.rank()); },
                             .formula = picked(out, [=](const Dims& at) {
                               Dims source = at;
                               source[dim] /= n;
                               return flat(shape, source);
                             })};
             },
             {{"repeats must not be negative, got -1", [] { repeat_interleave(ones({2}), -1, 0); }}}),
      moving("roll",
             [](Draw& d) {
               const Shape shape = d.shape(1);
               const int dim = static_cast<int>(d.integer(0, shape.rank() - 1));
               const int64_t shift = d.integer(-300, 300);
               return Sample{.inputs = {d.any(shape)},
                             .call = [=](Inputs x) { return roll(x[0], {shift}, {dim}); },
                             .formula = picked(shape, [=](const Dims& at) {
                               Dims source = at;
                               source[dim] = (((at[dim] - shift) % shape[dim]) + shape[dim]) % shape[dim];
                               return flat(shape, source);
                             })};
             },
             {{"2 shifts (1, 2) but 1 dims (0,)",
               [] {
                 roll(ones({2}), {1, 2}, {0});
               }}}),
  };
}

std::vector<Row> image_rows() {
  const auto shape_of = [](Draw& d, int64_t r) { return Shape{d.batch(3), d.size(5), d.size(7), d.size(7) * r / r}; };
  return {
      moving("pixel_shuffle",
             [=](Draw& d) {
               const int64_t r = d.integer(1, 3);
               const Shape s = shape_of(d, r), from{s[0], s[1] * r * r, s[2], s[3]};
               return Sample{.inputs = {d.any(from)},
                             .call = [=](Inputs x) { return pixel_shuffle(x[0], r); },
                             .formula = picked({s[0], s[1], s[2] * r, s[3] * r}, [=](const Dims& at) {
                               const int64_t channel = at[1] * r * r + at[2] % r * r + at[3] % r;
                               return flat(from, {at[0], channel, at[2] / r, at[3] / r});
                             })};
             },
             {{"do not divide by the square of upscale_factor 2",
               [] {
                 pixel_shuffle(ones({1, 2, 3, 3}), 2);
               }},
              {"must be (N, C, H, W)",
               [] {
                 pixel_shuffle(ones({2, 3}), 2);
               }}}),
      moving("pixel_unshuffle",
             [=](Draw& d) {
               const int64_t r = d.integer(1, 3);
               const Shape s = shape_of(d, r), from{s[0], s[1], s[2] * r, s[3] * r};
               return Sample{
                   .inputs = {d.any(from)},
                   .call = [=](Inputs x) { return pixel_unshuffle(x[0], r); },
                   .formula = picked({s[0], s[1] * r * r, s[2], s[3]}, [=](const Dims& at) {
                     const int64_t inside = at[1] % (r * r);
                     return flat(from, {at[0], at[1] / (r * r), at[2] * r + inside / r, at[3] * r + inside % r});
                   })};
             },
             {{"do not divide by downscale_factor 2",
               [] {
                 pixel_unshuffle(ones({1, 2, 3, 3}), 2);
               }},
              {"must be (N, C, H, W)",
               [] {
                 pixel_unshuffle(ones({2, 3}), 2);
               }}}),
  };
}

Sample draw_triangle(Draw& d, bool lower) {
  const Shape shape = d.shape(2);
  const int64_t k = d.integer(-2, 2);
  const int r = shape.rank() - 2;
  return {.inputs = {d.any(shape)},
          .call = [=](Inputs x) { return lower ? tril(x[0], k) : triu(x[0], k); },
          .formula = by_index(shape, [=](const Dims& at, const auto& in) {
            const bool kept = lower ? at[r + 1] - at[r] <= k : at[r + 1] - at[r] >= k;
            return kept ? in[0][static_cast<size_t>(flat(shape, at))] : 0.0;
          })};
}

std::vector<Row> matrix_rows() {
  return {
      moving("tril", [](Draw& d) { return draw_triangle(d, true); },
             {{"must be (..., rows, columns), got (3,)", [] { tril(ones({3})); }}}),
      moving("triu", [](Draw& d) { return draw_triangle(d, false); },
             {{"must be (..., rows, columns), got (3,)", [] { triu(ones({3})); }}}),
      moving("diagonal",
             [](Draw& d) {
               const Shape shape = d.shape(2, 3);
               const int64_t k = d.integer(-2, 2), rows = shape[0], columns = shape[shape.rank() - 1];
               const int64_t length =
                   std::max<int64_t>(k >= 0 ? std::min(rows, columns - k) : std::min(rows + k, columns), 0);
               Shape out = shape.rank() == 3 ? Shape{shape[1], length} : Shape{length};
               return Sample{.inputs = {d.any(shape)},
                             .call = [=](Inputs x) { return diagonal(x[0], k, 0, -1); },
                             .formula = picked(out, [=](const Dims& at) {
                               const int64_t i = at[at.rank() - 1] + std::max<int64_t>(-k, 0);
                               const int64_t j = at[at.rank() - 1] + std::max<int64_t>(k, 0);
                               return shape.rank() == 3 ? flat(shape, {i, at[0], j}) : flat(shape, {i, j});
                             })};
             },
             {{"dim1 and dim2 must differ",
               [] {
                 diagonal(ones({2, 2}), 0, 0, 0);
               }},
              {"must have at least 2 dimensions", [] { diagonal(ones({2})); }}}),
      moving("diagonal_backward",
             [](Draw& d) {
               const int64_t n = d.size(9), m = n + d.integer(0, 2), batch = d.batch(3);
               const Shape shape{batch, n, m};
               return Sample{.inputs = {d.any({batch, n})},
                             .call = [=](Inputs x) { return diagonal_backward(x[0], shape, 0, 1, 2); },
                             .formula = by_index(shape, [=](const Dims& at, const auto& in) {
                               return at[1] == at[2] ? in[0][static_cast<size_t>(at[0] * n + at[1])] : 0.0;
                             })};
             },
             {{"the diagonal of (2, 2) has shape (2,), got (3,)",
               [] {
                 diagonal_backward(ones({3}), {2, 2}, 0, 0, 1);
               }}}),
      moving("diag_embed",
             [](Draw& d) {
               const int64_t n = d.size(9), k = d.integer(-2, 2), batch = d.batch(3), side = n + std::abs(k);
               return Sample{.inputs = {d.any({batch, n})},
                             .call = [=](Inputs x) { return diag_embed(x[0], k); },
                             .formula = by_index({batch, side, side}, [=](const Dims& at, const auto& in) {
                               const int64_t i = std::min(at[1], at[2]);
                               return at[2] - at[1] == k ? in[0][static_cast<size_t>(at[0] * n + i)] : 0.0;
                             })};
             },
             {{"must have at least 1 dimension", [] { diag_embed(ones({})); }}}),
      moving(
          "meshgrid",
          [](Draw& d) {
            const int64_t n = d.batch(9), m = d.size(9);
            const bool xy = d.chance(), second = d.chance();
            const Shape grid = xy ? Shape{m, n} : Shape{n, m};
            return Sample{
                .inputs = {d.any({n}), d.any({m})},
                .call = [=](Inputs x) { return meshgrid(x, xy ? MeshIndexing::xy : MeshIndexing::ij)[second ? 1 : 0]; },
                .formula = by_index(grid, [=](const Dims& at, const auto& in) {
                  return in[second ? 1 : 0][static_cast<size_t>(at[xy != second ? 1 : 0])];
                })};
          },
          {{"the list is empty", [] { meshgrid({}); }},
           {"inputs must be vectors",
            [] {
              meshgrid(std::vector<Variable>{ones({2, 2})});
            }}}),
  };
}

}  // namespace

std::vector<Row> rearrange_rows() {
  std::vector<Row> rows;
  for (auto family : {dimension_rows, part_rows, repetition_rows, image_rows, matrix_rows}) {
    for (Row& row : family()) rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace sfumato::testing
