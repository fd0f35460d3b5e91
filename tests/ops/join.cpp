// Rows of the ops that join, pad and reverse ("autograd/ops/join.h", and the pad modes of "autograd/ops/rearrange.h").
#include "autograd/ops/join.h"

#include <algorithm>

#include "autograd/ops/rearrange.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

Sample draw_cat(Draw& d) {
  const Shape first = d.shape(1);
  const int dim = static_cast<int>(d.integer(0, first.rank() - 1));
  Shape second = first, out = first;
  second[dim] = d.size(33);
  out[dim] += second[dim];
  return {.inputs = {d.any(first), d.any(second)},
          .call = [=](Inputs x) { return cat(x, dim - first.rank()); },
          .formula = by_index(out, [=](const Dims& at, const auto& in) {
            Dims source = at;
            const bool later = at[dim] >= first[dim];
            source[dim] -= later ? first[dim] : 0;
            return in[later ? 1 : 0][static_cast<size_t>(flat(later ? second : first, source))];
          })};
}

Sample draw_stack(Draw& d) {
  const Shape shape = d.shape(0, 3);
  const int dim = static_cast<int>(d.integer(0, shape.rank()));
  Shape out = shape;
  out.insert(dim, 2);
  return {.inputs = {d.any(shape), d.any(shape)},
          .call = [=](Inputs x) { return stack(x, dim); },
          .formula = by_index(out, [=](const Dims& at, const auto& in) {
            Dims source = at;
            source.erase(dim);
            return in[static_cast<size_t>(at[dim])][static_cast<size_t>(flat(shape, source))];
          })};
}

// Where the element at `i` of a padded line of `size` comes from; none when it is the constant.
int64_t padded_source(int64_t i, int64_t size, int mode) {
  switch (mode) {
    case 0: return i >= 0 && i < size ? i : -1;
    case 1: return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
    case 2: return std::min(std::max<int64_t>(i, 0), size - 1);
    default: return (i + size) % size;
  }
}

Sample draw_pad(Draw& d) {
  const Shape shape = d.shape(2, 3);
  const int last = shape.rank() - 1;
  const bool constant_only = d.sizes() == Sizes::empty;
  const int mode = constant_only ? 0 : static_cast<int>(d.integer(0, 3));
  Dims amounts;
  for (const int dim : {last, last - 1}) {
    const int64_t most = mode == 1 ? shape[dim] - 1 : mode == 3 ? shape[dim] : 3;
    const int64_t least = mode == 0 && shape[dim] >= 2 ? -1 : 0;  // a constant may crop
    amounts.push_back(d.integer(least, std::min<int64_t>(most, 3)));
    amounts.push_back(d.integer(least, std::min<int64_t>(most, 3)));
  }
  Shape out = shape;
  for (int pair = 0; pair < 2; ++pair) out[last - pair] += amounts[2 * pair] + amounts[2 * pair + 1];
  const double value = d.dtype() == DType::boolean || d.integers() ? 1 : 0.5;
  return {.inputs = {d.any(shape)},
          .call =
              [=](Inputs x) {
                return mode == 0 ? pad(x[0], amounts, value) : pad(x[0], amounts, static_cast<PadMode>(mode - 1));
              },
          .formula = by_index(out, [=](const Dims& at, const auto& in) {
            Dims source = at;
            for (int pair = 0; pair < 2; ++pair) {
              const int dim = last - pair;
              source[dim] = padded_source(at[dim] - amounts[2 * pair], shape[dim], mode);
              if (source[dim] < 0) return value;
            }
            return in[0][static_cast<size_t>(flat(shape, source))];
          })};
}

Sample draw_flip(Draw& d) {
  const Shape shape = d.shape();
  Dims dims;
  for (int i = 0; i < shape.rank(); ++i) {
    if (d.chance()) dims.push_back(i - shape.rank());
  }
  return {.inputs = {d.any(shape)},
          .call = [=](Inputs x) { return flip(x[0], dims); },
          .formula = picked(shape, [=](const Dims& at) {
            Dims source = at;
            for (const int64_t dim : dims) {
              const int i = static_cast<int>(dim) + shape.rank();
              source[i] = shape[i] - 1 - at[i];
            }
            return flat(shape, source);
          })};
}

}  // namespace

std::vector<Row> join_rows() {
  return {
      {.name = "cat",
       .dtypes = kAllDTypes,
       .draw = draw_cat,
       .misuses = {{"the list is empty", [] { cat(std::span<const Variable>(), 0); }},
                   {"shapes must agree except in dimension 0",
                    [] {
                      cat({ones({2, 3}), ones({2, 4})}, 0);
                    }},
                   {"rank 0 cannot be joined",
                    [] {
                      cat({ones({}), ones({})}, 0);
                    }}}},
      {.name = "stack",
       .dtypes = kAllDTypes,
       .draw = draw_stack,
       .misuses = {{"the list is empty", [] { stack(std::span<const Variable>(), 0); }},
                   {"all shapes must be equal, got (2,) and (3,)",
                    [] {
                      stack({ones({2}), ones({3})}, 0);
                    }}}},
      {.name = "pad",
       .dtypes = kAllDTypes,
       .draw = draw_pad,
       .misuses = {{"pairs for at most the 1 dimensions",
                    [] {
                      pad(ones({2}), {1, 1, 1, 1});
                    }},
                   {"crop more of dimension 0",
                    [] {
                      pad(ones({2}), {-3, 0});
                    }},
                   {"must be in 0..1 for dimension 0",
                    [] {
                      pad(ones({2}), {2, 0}, PadMode::reflect);
                    }},
                   {"must be in 0..2 for dimension 0",
                    [] {
                      pad(ones({2}), {-1, 0}, PadMode::circular);
                    }}}},
      {.name = "flip",
       .dtypes = kAllDTypes,
       .draw = draw_flip,
       .misuses = {{"dim 0 appears twice",
                    [] {
                      flip(ones({2, 3}), {0, -2});
                    }}}},
  };
}

}  // namespace sfumato::testing
