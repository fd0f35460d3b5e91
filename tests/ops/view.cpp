// Rows of the table for views: which element of the input each element of the result is, said by index.
#include "tensor/ops/view.h"

#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

Formula in_order(const Shape& shape) {
  return picked(shape, [shape](const Dims& at) { return flat(shape, at); });
}

Row view_row(std::string name, std::function<Sample(Draw&)> draw, std::vector<Misuse> misuses) {
  return {.name = std::move(name), .dtypes = kAllDTypes, .draw = std::move(draw), .misuses = std::move(misuses)};
}

Sample draw_reshape(Draw& d) {
  const Shape from = d.shape();
  Shape to{from.numel()};
  if (from.rank() > 1 && d.chance()) {
    to = {from[0], from.numel() / std::max<int64_t>(from[0], 1)};
  }
  return {.inputs = {d.any(from)}, .call = [to](Inputs x) { return reshape(x[0], to); }, .formula = in_order(to)};
}

Sample draw_flatten(Draw& d) {
  const Shape from = d.shape(1);
  const auto first = static_cast<int>(d.integer(0, from.rank() - 1));
  const auto last = static_cast<int>(d.integer(first, from.rank() - 1));
  Shape to = from;
  for (int i = first + 1; i <= last; ++i) {
    to[first] *= from[i];
    to.erase(first + 1);
  }
  return {.inputs = {d.any(from)},
          .call = [first, last](Inputs x) { return flatten(x[0], first, last); },
          .formula = in_order(to)};
}

// The result has the input's dimension order[i] as its dimension i.
Formula permuted(const Shape& from, const Dims& order) {
  Shape to = from;
  for (int i = 0; i < from.rank(); ++i) to[i] = from[static_cast<int>(order[i])];
  return picked(to, [from, order](const Dims& at) {
    Dims place = at;
    for (int i = 0; i < at.rank(); ++i) place[static_cast<int>(order[i])] = at[i];
    return flat(from, place);
  });
}

Sample draw_permute(Draw& d) {
  const Shape from = d.shape();
  Dims order;
  for (int i = 0; i < from.rank(); ++i) order.insert(static_cast<int>(d.integer(0, i)), i);
  return {.inputs = {d.any(from)},
          .call = [order](Inputs x) { return permute(x[0], order); },
          .formula = permuted(from, order)};
}

Sample draw_transpose(Draw& d) {
  const Shape from = d.shape(1);
  const int64_t a = d.dim(from), b = d.dim(from);
  Dims order;
  for (int i = 0; i < from.rank(); ++i) order.push_back(i);
  std::swap(order[normalize_dim("draw", a, from.rank())], order[normalize_dim("draw", b, from.rank())]);
  return {.inputs = {d.any(from)},
          .call = [a, b](Inputs x) { return transpose(x[0], a, b); },
          .formula = permuted(from, order)};
}

Sample draw_expand(Draw& d) {
  Shape from = d.shape(0, 3);
  Shape to = from;
  for (int i = 0; i < from.rank(); ++i) {
    if (from[i] > 0 && d.chance(0.3)) from[i] = 1;
  }
  const int added = d.chance() ? 1 : 0;
  if (added == 1) to.insert(0, d.integer(1, 3));
  return {.inputs = {d.any(from)},
          .call = [to](Inputs x) { return expand(x[0], to); },
          .formula = picked(to, [from, added](const Dims& at) {
            int64_t place = 0;
            for (int i = 0; i < from.rank(); ++i) place = place * from[i] + (from[i] == 1 ? 0 : at[i + added]);
            return place;
          })};
}

Sample draw_unsqueeze(Draw& d) {
  const Shape from = d.shape();
  const int64_t dim = d.integer(-from.rank() - 1, from.rank());
  Shape to = from;
  to.insert(static_cast<int>(dim < 0 ? dim + from.rank() + 1 : dim), 1);
  return {.inputs = {d.any(from)}, .call = [dim](Inputs x) { return unsqueeze(x[0], dim); }, .formula = in_order(to)};
}

Sample draw_squeeze(Draw& d) {
  Shape from = d.shape(1);
  const int64_t dim = d.dim(from);
  const int at = normalize_dim("draw", dim, from.rank());
  if (from[at] > 0 && d.chance(0.7)) from[at] = 1;
  Shape to = from;
  if (from[at] == 1) to.erase(at);
  return {.inputs = {d.any(from)}, .call = [dim](Inputs x) { return squeeze(x[0], dim); }, .formula = in_order(to)};
}

// `count` elements of dimension `dim`, from `begin` on.
Formula cut(const Shape& from, int dim, int64_t begin, int64_t count, int64_t step) {
  Shape to = from;
  to[dim] = count;
  return picked(to, [from, dim, begin, step](const Dims& at) {
    Dims place = at;
    place[dim] = begin + at[dim] * step;
    return flat(from, place);
  });
}

Sample draw_slice(Draw& d) {
  const Shape from = d.shape(1);
  const int64_t dim = d.dim(from);
  const int at = normalize_dim("draw", dim, from.rank());
  const int64_t size = from[at], begin = d.integer(0, size), end = d.integer(begin, size), step = d.integer(1, 3);
  // Counted from the back, or beyond the end, which is clamped.
  const int64_t first = begin < size && d.chance() ? begin - size : begin;
  const int64_t last = end == size && d.chance() ? size + 5 : end;
  return {.inputs = {d.any(from)},
          .call = [=](Inputs x) { return slice(x[0], dim, first, last, step); },
          .formula = cut(from, at, begin, (end - begin + step - 1) / step, step)};
}

// Its input goes where slice() would have taken it from.
Sample draw_slice_backward(Draw& d) {
  const Shape whole = d.shape(1);
  const int64_t dim = d.dim(whole);
  const int at = normalize_dim("draw", dim, whole.rank());
  const int64_t begin = d.integer(0, whole[at]), end = d.integer(begin, whole[at]), step = d.integer(1, 3);
  Shape part = whole;
  part[at] = (end - begin + step - 1) / step;
  return {.inputs = {d.any(part)},
          .call = [=](Inputs x) { return slice_backward(x[0], whole, dim, begin, end, step); },
          .formula = by_index(whole, [=](const Dims& i, const std::vector<std::vector<double>>& inputs) {
            const int64_t from_begin = i[at] - begin;
            if (from_begin < 0 || i[at] >= end || from_begin % step != 0) return 0.0;
            Dims place = i;
            place[at] = from_begin / step;
            return inputs[0][static_cast<size_t>(flat(part, place))];
          })};
}

Sample draw_narrow(Draw& d) {
  const Shape from = d.shape(1);
  const int64_t dim = d.dim(from);
  const int at = normalize_dim("draw", dim, from.rank());
  const int64_t begin = d.integer(0, from[at]), length = d.integer(0, from[at] - begin);
  return {.inputs = {d.any(from)},
          .call = [=](Inputs x) { return narrow(x[0], dim, begin, length); },
          .formula = cut(from, at, begin, length, 1)};
}

Sample draw_select(Draw& d) {
  Shape from = d.shape(1);
  const int64_t dim = d.dim(from);
  const int at = normalize_dim("draw", dim, from.rank());
  from[at] = std::max<int64_t>(from[at], 1);
  const int64_t i = d.integer(0, from[at] - 1), given = d.chance() ? i - from[at] : i;
  Shape to = from;
  to.erase(at);
  return {.inputs = {d.any(from)},
          .call = [=](Inputs x) { return select(x[0], dim, given); },
          .formula = picked(to, [=](const Dims& place) {
            Dims whole = place;
            whole.insert(at, i);
            return flat(from, whole);
          })};
}

}  // namespace

std::vector<Row> view_rows() {
  const Tensor x = f32_of({2, 3});
  return {
      view_row("reshape", draw_reshape,
               {{"only one size may be -1",
                 [=] {
                   reshape(x, {-1, -1});
                 }},
                {"cannot infer -1",
                 [=] {
                   reshape(x, {4, -1});
                 }},
                {"has 5 elements", [=] { reshape(x, {5}); }}}),
      view_row("flatten", draw_flatten, {{"comes after end dim", [=] { flatten(x, 1, 0); }}}),
      view_row("permute", draw_permute,
               {{"appears twice",
                 [=] {
                   permute(x, {0, 0});
                 }},
                {"1 dims", [=] { permute(x, {0}); }}}),
      view_row("transpose", draw_transpose, {{"dim 2", [=] { transpose(x, 0, 2); }}}),
      view_row("expand", draw_expand,
               {{"has fewer dimensions", [=] { expand(x, {3}); }},
                {"-1 keeps a size that exists",
                 [=] {
                   expand(x, {-1, 2, 3});
                 }},
                {"only size 1 repeats",
                 [=] {
                   expand(x, {4, 3});
                 }}}),
      view_row("unsqueeze", draw_unsqueeze, {{"dim 3", [=] { unsqueeze(x, 3); }}}),
      view_row("squeeze", draw_squeeze, {{"dim 2", [=] { squeeze(x, 2); }}}),
      view_row(
          "slice", draw_slice,
          {{"step must be at least 1", [=] { slice(x, 0, 0, 1, 0); }}, {"rank 0", [] { slice(scalar(1), 0, 0, 1); }}}),
      view_row("slice_backward", draw_slice_backward,
               {{"the slice has shape (1, 3) but the gradient (2, 3)",
                 [=] {
                   slice_backward(x, {4, 3}, 0, 1, 2, 1);
                 }}}),
      view_row("narrow", draw_narrow,
               {{"do not lie within its size 3", [=] { narrow(x, 1, 2, 2); }},
                {"rank 0", [] { narrow(scalar(1), 0, 0, 1); }}}),
      view_row("select", draw_select,
               {{"out of range", [=] { select(x, 1, 3); }}, {"rank 0", [] { select(scalar(1), 0, 0); }}}),
  };
}

}  // namespace sfumato::testing
