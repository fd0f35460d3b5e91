// Rows of gathering and scattering by index tensors ("autograd/ops/index.h", "autograd/ops/select.h").
#include "autograd/ops/index.h"

#include <algorithm>
#include <cstring>

#include "autograd/ops/select.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

constexpr const char* kNotAnIndex = "an index must be i64 or i32, got f32";

// A shape with a dimension to index that is not empty.
struct Table {
  Shape shape;
  int dim;
};
Table table(Draw& d, int max_rank = 3) {
  Table t{d.shape(1, max_rank), 0};
  t.dim = static_cast<int>(d.integer(0, t.shape.rank() - 1));
  t.shape[t.dim] = std::max<int64_t>(t.shape[t.dim], 1);
  return t;
}

std::vector<int64_t> numbers(const Tensor& index) {
  const auto values = index.to_vector();
  return {values.begin(), values.end()};
}

Tensor in_either_dtype(Draw& d, const Tensor& index) { return d.chance() ? index : index.to(DType::i32); }

// Different places, for what writes.
Tensor different(Draw& d, int64_t count, int64_t size) {
  const auto order = random_permutation(size, RandomStream::of("index", std::to_string(d.integer(0, 1000))));
  Tensor index = empty({count}, DType::i64);
  std::copy_n(order.begin(), count, index.mutable_data<int64_t>());
  return index;
}

Sample draw_index_select(Draw& d) {
  const auto [shape, dim] = table(d);
  const Tensor index = in_either_dtype(d, d.indices({d.size(33)}, shape[dim]));
  Shape out = shape;
  out[dim] = index.numel();
  return {.inputs = {d.any(shape)},
          .call = [=, dim = dim, shape = shape](Inputs x) { return index_select(x[0], dim - shape.rank(), index); },
          .formula = picked(out, [=, dim = dim, shape = shape, at_index = numbers(index)](const Dims& at) {
            Dims source = at;
            source[dim] = at_index[static_cast<size_t>(at[dim])];
            return flat(shape, source);
          })};
}

// Sums along `dim` of a table of `size` entries.
Formula added(const Shape& source, const Shape& out, int dim, std::function<int64_t(const Dims& at)> row) {
  return [=](std::span<const Tensor> x) {
    Tensor sums = zeros(out, DType::f64);
    const auto values = x[0].to_vector();
    Dims at = Dims::filled(source.rank(), 0);
    for (size_t i = 0; i < values.size(); ++i) {
      Dims to = at;
      to[dim] = row(at);
      sums.mutable_data<double>()[flat(out, to)] += values[i];
      for (int d = source.rank() - 1; d >= 0 && ++at[d] == source[d]; --d) at[d] = 0;
    }
    return sums;
  };
}

Sample draw_index_add(Draw& d) {
  const auto [shape, dim] = table(d);
  const int64_t size = d.size(9);
  const Tensor index = in_either_dtype(d, d.indices({shape[dim]}, size));
  Shape out = shape;
  out[dim] = size;
  return {.inputs = {d.any(shape)},
          .call = [=, dim = dim](Inputs x) { return index_add(x[0], dim, index, size); },
          .formula = added(shape, out, dim, [at_index = numbers(index), dim = dim](const Dims& at) {
            return at_index[static_cast<size_t>(at[dim])];
          })};
}

Shape index_shape(Draw& d, const Shape& shape, int dim) {
  Shape smaller = shape;
  for (int i = 0; i < shape.rank(); ++i)
    smaller[i] = i == dim ? d.size(17) : d.integer(std::min<int64_t>(shape[i], 1), shape[i]);
  return smaller;
}

Sample draw_gather(Draw& d) {
  const auto [shape, dim] = table(d);
  const Tensor index = in_either_dtype(d, d.indices(index_shape(d, shape, dim), shape[dim]));
  return {.inputs = {d.any(shape)},
          .call = [=, dim = dim](Inputs x) { return gather(x[0], dim, index); },
          .formula = picked(index.shape(), [=, dim = dim, shape = shape, at_index = numbers(index)](const Dims& at) {
            Dims source = at;
            source[dim] = at_index[static_cast<size_t>(flat(index.shape(), at))];
            return flat(shape, source);
          })};
}

Sample draw_scatter_add(Draw& d) {
  const auto [shape, dim] = table(d);
  const Tensor index = in_either_dtype(d, d.indices(index_shape(d, shape, dim), shape[dim]));
  return {.inputs = {d.any(index.shape())},
          .call = [=, dim = dim, shape = shape](Inputs x) { return scatter_add(x[0], dim, index, shape); },
          .formula = added(index.shape(), shape, dim, [=, at_index = numbers(index)](const Dims& at) {
            return at_index[static_cast<size_t>(flat(index.shape(), at))];
          })};
}

// Rows of different places, the same for every line.
Sample draw_scatter(Draw& d) {
  const auto [shape, dim] = table(d, 2);
  const int64_t count = d.integer(1, shape[dim]);
  const Tensor places = different(d, count, shape[dim]);
  Shape along = Shape::filled(shape.rank(), 1), source = shape;
  along[dim] = source[dim] = count;
  const Tensor index = expand(places.reshape(along), source).contiguous();
  std::vector<int64_t> origin(static_cast<size_t>(shape[dim]), -1);
  for (int64_t i = 0; i < count; ++i) origin[static_cast<size_t>(places.data<int64_t>()[i])] = i;
  return {.inputs = {d.any(shape), d.any(source)},
          .call = [=, dim = dim](Inputs x) { return scatter(x[0], dim, index, x[1]); },
          .formula = by_index(shape, [=, dim = dim, shape = shape](const Dims& at, const auto& in) {
            const int64_t i = origin[static_cast<size_t>(at[dim])];
            if (i < 0) return in[0][static_cast<size_t>(flat(shape, at))];
            Dims from = at;
            from[dim] = i;
            return in[1][static_cast<size_t>(flat(source, from))];
          })};
}

Sample draw_take_along_dim(Draw& d) {
  const int64_t n = d.batch(9), m = d.size(17), k = d.size(9);
  const Tensor index = d.indices({1, k}, m);
  return {.inputs = {d.any({n, m})},
          .call = [=](Inputs x) { return take_along_dim(x[0], index, -1); },
          .formula = picked({n, k}, [=, at_index = numbers(index)](const Dims& at) {
            return at[0] * m + at_index[static_cast<size_t>(at[1])];
          })};
}

Sample draw_index_fill(Draw& d) {
  const auto [shape, dim] = table(d);
  const Tensor index = d.indices({d.size(5)}, shape[dim]);
  return {
      .inputs = {d.any(shape)},
      .call = [=, dim = dim](Inputs x) { return index_fill(x[0], dim, index, 1); },
      .formula = by_index(shape, [=, dim = dim, shape = shape, rows = numbers(index)](const Dims& at, const auto& in) {
        const bool filled = std::count(rows.begin(), rows.end(), at[dim]) > 0;
        return filled ? 1.0 : in[0][static_cast<size_t>(flat(shape, at))];
      })};
}

Sample draw_embedding(Draw& d) {
  const int64_t entries = d.size(33), width = d.size(17);
  const Tensor index = in_either_dtype(d, d.indices({d.batch(9), d.size(5)}, entries));
  return {.inputs = {d.any({entries, width})},
          .call = [=](Inputs x) { return embedding(x[0], index); },
          .formula = picked({index.size(0), index.size(1), width}, [=, rows = numbers(index)](const Dims& at) {
            return rows[static_cast<size_t>(at[0] * index.size(1) + at[1])] * width + at[2];
          })};
}

std::vector<Row> masked_rows() {
  const auto chosen = [](Draw& d) {
    const Draw::Pair shapes = d.broadcast_pair();
    const Shape out = broadcast_shapes("rows", shapes.a, shapes.b);
    const Tensor mask = d.mask(out);
    return Sample{.inputs = {d.any(shapes.a), d.any(shapes.b)},
                  .call = [=](Inputs x) { return where(mask, x[0], x[1]); },
                  .formula =
                      [=](std::span<const Tensor> x) {
                        Tensor a = empty(out, DType::f64), b = empty(out, DType::f64);
                        a.copy_from(x[0]);
                        b.copy_from(x[1]);
                        for (int64_t i = 0; i < a.numel(); ++i) {
                          if (!mask.data<bool>()[i]) a.mutable_data<double>()[i] = b.data<double>()[i];
                        }
                        return a;
                      }};
  };
  const auto filled = [](Draw& d) {
    const Shape shape = d.shape();
    const Tensor mask = d.mask(shape);
    return Sample{.inputs = {d.any(shape)},
                  .call = [=](Inputs x) { return masked_fill(x[0], mask, 1); },
                  .formula = by_index(shape, [=](const Dims& at, const auto& in) {
                    const int64_t i = flat(shape, at);
                    return mask.data<bool>()[i] ? 1.0 : in[0][static_cast<size_t>(i)];
                  })};
  };
  const auto selected = [](Draw& d) {
    const Shape shape = d.shape();
    const Tensor mask = d.mask(shape);
    std::vector<int64_t> places;
    for (int64_t i = 0; i < mask.numel(); ++i) {
      if (mask.data<bool>()[i]) places.push_back(i);
    }
    return Sample{.inputs = {d.any(shape)},
                  .call = [=](Inputs x) { return masked_select(x[0], mask); },
                  .formula = picked({static_cast<int64_t>(places.size())},
                                    [=](const Dims& at) { return places[static_cast<size_t>(at[0])]; })};
  };
  return {
      {.name = "where",
       .dtypes = kAllDTypes,
       .draw = chosen,
       .misuses = {{"the condition must be bool, got f32", [] { where(ones({2}), Variable(ones({2})), ones({2})); }}}},
      {.name = "masked_fill",
       .dtypes = kAllDTypes,
       .draw = filled,
       .misuses = {{"the mask must be bool", [] { masked_fill(Variable(ones({2})), ones({2}), 0); }},
                   {"does not broadcast to the input",
                    [] {
                      masked_fill(Variable(ones({2})), zeros({2, 2}, DType::boolean), 0);
                    }}}},
      {.name = "masked_select",
       .dtypes = kAllDTypes,
       .draw = selected,
       .misuses = {{"the mask must be bool", [] { masked_select(ones({2}), ones({2})); }}}},
  };
}

}  // namespace

std::vector<Row> index_rows() {
  std::vector<Row> rows{
      {.name = "index_select",
       .dtypes = kAllDTypes,
       .draw = draw_index_select,
       .misuses = {{kNotAnIndex, [] { index_select(Variable(ones({2})), 0, ones({1})); }},
                   {"index 2 is out of range for size 2",
                    [] { index_select(Variable(ones({2})), 0, full({1}, 2, DType::i64)); }},
                   {"index -1 is out of range",
                    [] { index_select(Variable(ones({2})), 0, full({1}, -1, DType::i64)); }},
                   {"the index must have rank 1",
                    [] {
                      index_select(Variable(ones({2})), 0, zeros({1, 1}, DType::i64));
                    }},
                   {"rank 0 has no dimension", [] { index_select(Variable(ones({})), 0, zeros({1}, DType::i64)); }}}},
      {.name = "index_add",
       .dtypes = kNumbers,
       .draw = draw_index_add,
       .misuses = {{"one entry per slice", [] { index_add(Variable(ones({2})), 0, zeros({1}, DType::i64), 3); }},
                   {"negative size -1", [] { index_add(Variable(ones({1})), 0, zeros({1}, DType::i64), -1); }}}},
      {.name = "gather",
       .dtypes = kAllDTypes,
       .draw = draw_gather,
       .misuses = {{"must have the rank of",
                    [] {
                      gather(Variable(ones({2, 2})), 0, zeros({2}, DType::i64));
                    }},
                   {"is larger than",
                    [] {
                      gather(Variable(ones({2, 2})), 0, zeros({2, 3}, DType::i64));
                    }}}},
      {.name = "scatter_add",
       .dtypes = kNumbers,
       .draw = draw_scatter_add,
       .misuses = {{"must have one shape", [] { scatter_add(Variable(ones({2})), 0, zeros({3}, DType::i64), {4}); }}}},
      {.name = "scatter",
       .dtypes = kAllDTypes,
       .draw = draw_scatter,
       .misuses = {{"must have one shape",
                    [] { scatter(Variable(ones({4})), 0, zeros({3}, DType::i64), Variable(ones({2}))); }},
                   {"the input is f32 but the source i64",
                    [] { scatter(Variable(ones({4})), 0, zeros({3}, DType::i64), Variable(ones({3}, DType::i64))); }}}},
      {.name = "take_along_dim",
       .dtypes = kAllDTypes,
       .draw = draw_take_along_dim,
       .misuses = {{"must have one rank",
                    [] {
                      take_along_dim(ones({2, 2}), zeros({2}, DType::i64), 0);
                    }}}},
      {.name = "index_fill",
       .dtypes = kAllDTypes,
       .draw = draw_index_fill,
       .misuses = {{"index 5 is out of range for size 2",
                    [] { index_fill(ones({2}), 0, full({1}, 5, DType::i64), 0); }},
                   {kNotAnIndex, [] { index_fill(ones({2}), 0, ones({1}), 0); }}}},
      {.name = "embedding",
       .dtypes = kAllDTypes,
       .draw = draw_embedding,
       .misuses = {{"the weight must be (entries, width)",
                    [] { embedding(Variable(ones({2})), zeros({1}, DType::i64)); }},
                   {"index 2 is out of range",
                    [] {
                      embedding(Variable(ones({2, 2})), full({1}, 2, DType::i64));
                    }}}},
  };
  for (Row& row : masked_rows()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace sfumato::testing
