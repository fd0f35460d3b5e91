// Rows of attention and dropout ("autograd/ops/attention.h", "random.h").
#include "autograd/ops/attention.h"

#include "autograd/ops/random.h"
#include "tensor/ops/view.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Values = std::span<const Tensor>;

// ---- attention ----

// Query after query, key after key; hidden(n, i, j) and extra(n, i, j) are the mask's.
Tensor attended(Values x,
                double scale,
                const std::function<bool(int64_t, int64_t, int64_t)>& visible,
                const Tensor& extra) {
  const int64_t batch = x[0].size(0), queries = x[0].size(1), depth = x[0].size(2), keys = x[1].size(1),
                width = x[2].size(2);
  const auto q = x[0].to_vector(), k = x[1].to_vector(), v = x[2].to_vector();
  const auto added = extra.defined() ? extra.to_vector() : std::vector<double>();
  Tensor out = zeros({batch, queries, width}, DType::f64);
  for (int64_t row = 0; row < batch * queries; ++row) {
    const int64_t n = row / queries, i = row % queries;
    double total = 0;
    std::vector<double> weights(static_cast<size_t>(keys));
    for (int64_t j = 0; j < keys; ++j) {
      double score = 0;
      for (int64_t c = 0; c < depth; ++c) {
        score += q[static_cast<size_t>(row * depth + c)] * k[static_cast<size_t>((n * keys + j) * depth + c)];
      }
      const double shift = added.empty() ? 0 : added[static_cast<size_t>(i * keys + j)];
      weights[static_cast<size_t>(j)] = visible(n, i, j) ? std::exp(scale * score + shift) : 0;
      total += weights[static_cast<size_t>(j)];
    }
    for (int64_t j = 0; j < keys && total > 0; ++j) {
      for (int64_t e = 0; e < width; ++e) {
        out.mutable_data<double>()[row * width + e] +=
            weights[static_cast<size_t>(j)] / total * v[static_cast<size_t>((n * keys + j) * width + e)];
      }
    }
  }
  return out;
}

bool sees_all(int64_t, int64_t, int64_t) { return true; }

Sample draw_attention(Draw& d) {
  const int64_t n = d.batch(3), queries = 1 + d.size(17), keys = 1 + d.size(17), depth = d.size(17), width = d.size(9);
  const double scale = d.pick({0.0, 0.5}), used = scale == 0 ? 1 / std::sqrt(static_cast<double>(depth)) : scale;
  std::vector<Tensor> inputs{d.normal({n, queries, depth}), d.normal({n, keys, depth}), d.normal({n, keys, width})};
  switch (d.integer(0, 3)) {
    case 0:
      return {.inputs = inputs,
              .call = [=](Inputs x) { return scaled_dot_product_attention(x[0], x[1], x[2], scale); },
              .formula = [=](Values x) { return attended(x, used, sees_all, {}); }};
    case 1:
      return {
          .inputs = inputs,
          .call =
              [=](Inputs x) {
                return scaled_dot_product_attention(x[0], x[1], x[2], {.is_causal = true, .scale = scale});
              },
          .formula =
              [=](Values x) { return attended(x, used, [](int64_t, int64_t i, int64_t j) { return j <= i; }, {}); }};
    case 2: {  // rows that see nothing among them
      const Tensor mask = d.mask({n, queries, keys});
      const auto bits = mask.to_vector();
      return {.inputs = inputs,
              .call =
                  [=](Inputs x) {
                    return scaled_dot_product_attention(x[0], x[1], x[2], {.attn_mask = mask, .scale = scale});
                  },
              .formula =
                  [=](Values x) {
                    return attended(x, used,
                                    [=](int64_t b, int64_t i, int64_t j) {
                                      return bits[static_cast<size_t>((b * queries + i) * keys + j)] != 0;
                                    },
                                    {});
                  }};
    }
    default: break;
  }
  inputs.push_back(d.normal({queries, keys}));
  return {
      .inputs = inputs,
      .call =
          [=](Inputs x) { return scaled_dot_product_attention(x[0], x[1], x[2], {.attn_mask = x[3], .scale = scale}); },
      .formula = [=](Values x) { return attended(x, used, sees_all, x[3]); }};
}

Sample draw_channels_first(Draw& d) {
  const int64_t n = d.batch(3), heads = d.integer(1, 3), depth = d.size(9), queries = d.size(17), keys = d.size(17);
  return {.inputs = {d.normal({n, heads * depth, queries}), d.normal({n, heads * depth, keys}),
                     d.normal({n, heads * depth, keys})},
          .call = [=](Inputs x) { return attention_channels_first(x[0], x[1], x[2], heads); },
          .formula =
              [=](Values x) {
                // Heads as samples, depth last, and back.
                std::vector<Tensor> parts;
                for (const Tensor& t : x) {
                  parts.push_back(transpose(t.contiguous().reshape({n * heads, depth, t.size(2)}), 1, 2));
                }
                const Tensor y = attended(parts, 1 / std::sqrt(static_cast<double>(depth)), sees_all, {});
                return transpose(y, 1, 2).contiguous().reshape({n, heads * depth, queries});
              }};
}

std::vector<Row> rows_of_attention() {
  const auto z = [](const Shape& shape) { return Variable(f32_of(shape)); };
  return {
      {.name = "scaled_dot_product_attention",
       .draw = draw_attention,
       .misuses =
           {{"differ in depth",
             [=] {
               scaled_dot_product_attention(z({2, 3}), z({2, 4}), z({2, 4}));
             }},
            {"differ in length",
             [=] {
               scaled_dot_product_attention(z({2, 3}), z({2, 3}), z({5, 3}));
             }},
            {"(..., length, depth)", [=] { scaled_dot_product_attention(z({3}), z({3}), z({3})); }},
            {"exclude each other",
             [=] {
               scaled_dot_product_attention(z({2, 3}), z({2, 3}), z({2, 3}),
                                            {.attn_mask = z({2, 2}), .is_causal = true});
             }},
            {"attn_mask (3, 3) does not broadcast",
             [=] {
               scaled_dot_product_attention(z({1, 3}), z({3, 3}), z({3, 3}), {.attn_mask = z({3, 3})});
             }},
            {"attn_mask must be bool",
             [=] {
               scaled_dot_product_attention(z({2, 3}), z({2, 3}), z({2, 3}), {.attn_mask = ones({2, 2}, DType::i64)});
             }}},
       .f32 = {5e-6, 5e-6},  // the exponential of a sum of products
       .by_library = true},
      {.name = "attention_channels_first",
       .draw = draw_channels_first,
       .misuses = {{"6 channels do not divide into 4 heads",
                    [=] {
                      attention_channels_first(z({1, 6, 4}), z({1, 6, 4}), z({1, 6, 4}), 4);
                    }},
                   {"q (1, 6, 4)",
                    [=] {
                      attention_channels_first(z({1, 6, 4}), z({1, 5, 4}), z({1, 5, 4}), 1);
                    }}},
       .f32 = {5e-6, 5e-6},
       .by_library = true},
  };
}

// ---- dropout ----

Row dropout_row() {
  return {.name = "dropout",
          .draw =
              [](Draw& d) {
                const double p = d.pick({0.0, 0.25, 0.5});
                const auto stream = RandomStream::of("dropout", fmt::format("row {}", d.integer(0, 99)));
                return Sample{.inputs = {d.normal(d.shape(1))},
                              .call = [=](Inputs x) { return dropout(x[0], p, stream); },
                              // The mask is what the stream drops from ones.
                              .formula =
                                  [=](Values x) {
                                    return p == 0 ? x[0]
                                                  : x[0] * dropout_with(ones(x[0].shape(), DType::f64), p, stream);
                                  }};
              },
          .misuses = {{"p", [] { dropout(f32_of({2}), 1, RandomStream::of("dropout", "row")); }},
                      {"p", [] { dropout(f32_of({2}), -0.1, RandomStream::of("dropout", "row")); }}}};
}

}  // namespace

std::vector<Row> attention_rows() {
  std::vector<Row> rows = rows_of_attention();
  rows.push_back(dropout_row());
  return rows;
}

}  // namespace sfumato::testing
