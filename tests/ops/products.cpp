// Rows of matrix products and contractions ("autograd/ops/matmul.h").
#include <algorithm>
#include <map>

#include "autograd/ops/matmul.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {
namespace {

using Values = std::span<const Tensor>;

// The sum over all values of all letters, one after the other: einsum by its definition. No ellipsis.
Tensor by_letters(const std::vector<std::string>& terms, const std::string& output, Values inputs) {
  std::map<char, int64_t> sizes;
  for (size_t i = 0; i < terms.size(); ++i) {
    for (size_t d = 0; d < terms[i].size(); ++d) sizes[terms[i][d]] = inputs[i].size(static_cast<int64_t>(d));
  }
  Shape shape;
  for (const char c : output) shape.push_back(sizes.at(c));
  Tensor out = zeros(shape, DType::f64);
  double* to = out.mutable_data<double>();
  std::vector<Tensor> plain;
  for (const Tensor& input : inputs) plain.push_back(input.contiguous());
  const auto offset = [&](const std::string& term, const std::map<char, int64_t>& at) {
    int64_t place = 0;
    for (const char c : term) place = place * sizes.at(c) + at.at(c);
    return place;
  };
  int64_t total = 1;
  for (const auto& [letter, size] : sizes) total *= size;
  for (int64_t n = 0; n < total; ++n) {
    std::map<char, int64_t> at;
    int64_t rest = n;
    for (const auto& [letter, size] : sizes) {
      at[letter] = rest % size;
      rest /= size;
    }
    double product = 1;
    for (size_t i = 0; i < terms.size(); ++i) product *= plain[i].data<double>()[offset(terms[i], at)];
    to[offset(output, at)] += product;
  }
  return out;
}

std::function<Tensor(Values)> letters(std::vector<std::string> terms, std::string output) {
  return [=](Values x) { return by_letters(terms, output, x); };
}

// (..., M, K) x (..., K, N) for batch shapes that broadcast, element by element.
Tensor matrix_formula(Values x) {
  const auto batch_of = [](const Tensor& t) { return Shape(t.shape().span().first(static_cast<size_t>(t.dim() - 2))); };
  const Shape batch = broadcast_shapes("formula", batch_of(x[0]), batch_of(x[1]));
  const auto whole = [&](const Tensor& t) {
    Shape shape = batch;
    shape.push_back(t.size(-2));
    shape.push_back(t.size(-1));
    Tensor copy = empty(shape, DType::f64);
    copy.copy_from(t);
    return copy;
  };
  const Tensor a = whole(x[0]), b = whole(x[1]);
  const int64_t rows = a.size(-2), depth = a.size(-1), columns = b.size(-1);
  Shape shape = batch;
  shape.push_back(rows);
  shape.push_back(columns);
  Tensor out = zeros(shape, DType::f64);
  double* to = out.mutable_data<double>();
  for (int64_t n = 0; n < batch.numel(); ++n) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t k = 0; k < depth; ++k) {
        const double factor = a.data<double>()[(n * rows + i) * depth + k];
        for (int64_t j = 0; j < columns; ++j) {
          to[(n * rows + i) * columns + j] += factor * b.data<double>()[(n * depth + k) * columns + j];
        }
      }
    }
  }
  return out;
}

Tensor linear_formula(Values x) {
  const Tensor &input = x[0], &weight = x[1];
  Shape shape = input.shape();
  shape[shape.rank() - 1] = weight.size(0);
  Tensor out = zeros(shape, DType::f64);
  const int64_t inputs = weight.size(1), outputs = weight.size(0), rows = inputs == 0 ? 0 : input.numel() / inputs;
  const Tensor in = input.contiguous(), w = weight.contiguous();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = x.size() > 2 ? x[2].data<double>()[o] : 0;
      for (int64_t k = 0; k < inputs; ++k) sum += in.data<double>()[i * inputs + k] * w.data<double>()[o * inputs + k];
      out.mutable_data<double>()[i * outputs + o] = sum;
    }
  }
  return out;
}

// Sums of up to 257 products in f32, judged by the largest of them; a single one may have cancelled.
constexpr Tolerance kProduct{2e-6, 4e-6, 1e-6};

// A row of floats whose bits may depend on oneDNN's blocking.
Row product(const char* name, std::function<Sample(Draw&)> draw, std::vector<Misuse> misuses) {
  return {.name = name, .draw = std::move(draw), .misuses = std::move(misuses), .f32 = kProduct, .by_library = true};
}

int64_t side(Draw& d) { return d.size(d.chance(0.1) ? 129 : 33); }

using Binary = Variable (*)(const Variable&, const Variable&);

// An op of two tensors whose dimensions are named by letters; 'b' is the one that may be empty.
Row by_terms(const char* name,
             Binary f,
             const std::string& a,
             const std::string& b,
             const std::string& out,
             std::vector<Misuse> misuses) {
  return product(
      name,
      [=](Draw& d) {
        std::map<char, int64_t> sizes;
        for (const char c : a + b) sizes.try_emplace(c, c == 'm' || c == 'b' ? d.batch(17) : d.size(17));
        const auto shape = [&](const std::string& term) {
          Shape s;
          for (const char c : term) s.push_back(sizes.at(c));
          return s;
        };
        return Sample{.inputs = {d.normal(shape(a)), d.normal(shape(b))},
                      .call = [f](Inputs x) { return f(x[0], x[1]); },
                      .formula = letters({a, b}, out)};
      },
      std::move(misuses));
}

Sample draw_matmul(Draw& d) {
  const auto call = [](Inputs x) { return matmul(x[0], x[1]); };
  const int64_t kind = d.integer(0, 5), m = side(d), k = side(d), n = side(d);
  if (kind == 0 && d.sizes() != Sizes::empty) {  // vectors
    return {.inputs = {d.normal({k}), d.normal({k})}, .call = call, .formula = letters({"k", "k"}, "")};
  }
  if (kind == 1)
    return {.inputs = {d.normal({k}), d.normal({k, d.batch(65)})}, .call = call, .formula = letters({"k", "kn"}, "n")};
  if (kind == 2)
    return {.inputs = {d.normal({d.batch(65), k}), d.normal({k})}, .call = call, .formula = letters({"mk", "k"}, "m")};
  Shape a{d.batch(3), m, k}, b{a[0], k, n};
  if (d.chance(0.3)) b[0] = 1;
  if (d.chance(0.3)) b.erase(0);
  if (d.chance(0.3)) a.insert(0, d.size(2));
  if (d.chance(0.1) && d.sizes() == Sizes::any) {  // attention of the U-Net: 16 x 16 pixels
    a = {1, 256, 64};
    b = {1, 64, 256};
  }
  return {.inputs = {d.normal(a), d.normal(b)}, .call = call, .formula = matrix_formula};
}

Sample draw_linear(Draw& d) {
  const int64_t inputs = side(d), outputs = side(d);
  Shape x{d.batch(17), inputs};
  if (d.chance(0.4)) x.insert(1, d.size(3));
  std::vector<Tensor> tensors{d.normal(x), d.normal({outputs, inputs})};
  if (d.chance()) tensors.push_back(d.normal({outputs}));
  return {.inputs = tensors,
          .call = [](Inputs in) { return linear(in[0], in[1], in.size() > 2 ? in[2] : Variable()); },
          .formula = linear_formula};
}

std::vector<Row> matrix_rows() {
  const Tensor a = f32_of({2, 3}), b = f32_of({4, 5}), v = f32_of({4});
  return {
      product("matmul", draw_matmul,
              {{"a (2, 3) has 3 columns but b (4, 5) has 4 rows", [=] { matmul(a, b); }},
               {"at least 1 dimension", [=] { matmul(f32_of({}), b); }},
               {"b is undefined", [=] { matmul(a, Tensor()); }},
               {"a is f32 but b is f64", [=] { matmul(a, b.to(DType::f64)); }}}),
      product("linear", draw_linear,
              {{"must end in 5 features", [=] { linear(a, b); }},
               {"weight must be (O, I)", [=] { linear(a, v); }},
               {"bias has shape (4,)",
                [=] {
                  linear(f32_of({2, 4}), f32_of({3, 4}), v);
                }}}),
      by_terms("mm", mm, "mk", "kn", "mn",
               {{"arguments of 2 and 2 dimensions", [=] { mm(a, v); }}, {"do not fit", [=] { mm(a, b); }}}),
      by_terms("bmm", bmm, "bik", "bkj", "bij",
               {{"arguments of 3 and 3 dimensions", [=] { bmm(a, b); }},
                {"do not fit: 1 against 2",
                 [] {
                   bmm(f32_of({1, 2, 2}), f32_of({2, 2, 2}));
                 }}}),
      by_terms("mv", mv, "mk", "k", "m", {{"do not fit", [=] { mv(a, v); }}}),
      by_terms("dot", dot, "b", "b", "", {{"do not fit", [=] { dot(f32_of({3}), v); }}}),
      by_terms("outer", outer, "m", "n", "mn", {{"arguments of 1 and 1", [=] { outer(a, v); }}}),
      by_terms("inner", inner, "mik", "jk", "mij", {{"do not fit", [=] { inner(a, v); }}}),
  };
}

template <class F>
Row accumulating(const char* name, F f, bool batches) {
  return product(
      name,
      [=](Draw& d) {
        const int64_t m = d.batch(17), k = d.size(17), n = d.size(17), count = d.size(3);
        const double beta = d.pick({1.0, 0.5, 0.0}), alpha = d.pick({1.0, -2.0});
        const Shape a = batches ? Shape{count, m, k} : Shape{m, k}, b = batches ? Shape{count, k, n} : Shape{k, n};
        const Shape x = d.chance() ? Shape{n} : batches ? Shape{count, m, n} : Shape{m, n};
        return Sample{.inputs = {d.normal(x), d.normal(a), d.normal(b)},
                      .call = [=](Inputs in) { return f(in[0], in[1], in[2], beta, alpha); },
                      .formula =
                          [=](Values in) {
                            const Tensor p = matrix_formula(in.subspan(1));
                            return in[0] * beta + p * alpha;
                          }};
      },
      {{"do not fit",
        [=] {
          const Shape s = batches ? Shape{2, 3, 4} : Shape{3, 4};
          f(f32_of({4}), f32_of(s), f32_of(s), 1, 1);
        }},
       {"does not broadcast to the product", [=] {
          const Shape s = batches ? Shape{1, 3, 3} : Shape{3, 3};
          f(f32_of({2, 1, 3, 3}), f32_of(s), f32_of(s), 1, 1);
        }}});
}

struct Equation {
  const char* text;
  std::vector<std::string> terms;  // "..." written as YZ
  const char* output;
};

const std::vector<Equation>& equations() {
  static const std::vector<Equation> all{
      {"ij,jk->ik", {"ij", "jk"}, "ik"},
      {"bij,bjk->bik", {"bij", "bjk"}, "bik"},
      {"ii->i", {"ii"}, "i"},
      {"ii", {"ii"}, ""},
      {"ij->ji", {"ij"}, "ji"},
      {"ba", {"ba"}, "ab"},
      {"i,j->ij", {"i", "j"}, "ij"},
      {"ij,ij->", {"ij", "ij"}, ""},
      {"...ij,...jk->...ik", {"YZij", "YZjk"}, "YZik"},
      {"...ij,...jk", {"YZij", "YZjk"}, "YZik"},
      {"i...->...i", {"iYZ"}, "YZi"},
      {"...i->...", {"YZi"}, "YZ"},
      {" bhqd , bhkd -> bhqk ", {"bhqd", "bhkd"}, "bhqk"},
      {"ij,jk,kl->il", {"ij", "jk", "kl"}, "il"},
      {"iij,j->i", {"iij", "j"}, "i"},
      {"iji->j", {"iji"}, "j"},
      {"ij,kj", {"ij", "kj"}, "ik"},
      {"bi,bj,bk->bijk", {"bi", "bj", "bk"}, "bijk"},
      {"ij,i->j", {"ij", "i"}, "j"},
      {"ab,cd->", {"ab", "cd"}, ""},
      {"aB,Bc->ac", {"aB", "Bc"}, "ac"},
  };
  return all;
}

Sample draw_einsum(Draw& d) {
  const Equation& e = equations()[static_cast<size_t>(d.integer(0, static_cast<int64_t>(equations().size()) - 1))];
  std::map<char, int64_t> sizes;
  std::vector<Tensor> inputs;
  for (const std::string& term : e.terms) {
    Shape shape;
    for (const char c : term) {
      shape.push_back(
          sizes.try_emplace(c, sizes.empty() ? d.batch(5) : d.size(d.sizes() == Sizes::small ? 3 : 5)).first->second);
    }
    inputs.push_back(d.normal(shape));
  }
  return {.inputs = inputs,
          .call = [text = e.text](Inputs x) { return einsum(text, x); },
          .formula = letters(e.terms, e.output)};
}

Sample draw_tensordot(Draw& d) {
  const int64_t m = d.batch(9), k = d.size(9), l = d.size(9), n = d.size(9);
  if (d.chance()) {
    return {.inputs = {d.normal({m, k, l}), d.normal({k, l, n})},
            .call = [](Inputs x) { return tensordot(x[0], x[1], 2); },
            .formula = letters({"mkl", "kln"}, "mn")};
  }
  return {.inputs = {d.normal({k, m, l}), d.normal({n, l, k})},
          .call =
              [](Inputs x) {
                return tensordot(x[0], x[1], {0, -1}, {2, 1});
              },
          .formula = letters({"kml", "nlk"}, "mn")};
}

Sample draw_kron(Draw& d) {
  const int64_t a = d.batch(7), b = d.size(7), p = d.size(7), q = d.size(7);
  return {.inputs = {d.normal({a, b}), d.normal({p, q})},
          .call = [](Inputs x) { return kron(x[0], x[1]); },
          .formula =
              [=](Values x) {
                return by_letters({"ab", "pq"}, "apbq", x).reshape({a * p, b * q});
              }};
}

Sample draw_cdist(Draw& d) {
  const int64_t p = d.batch(33), r = d.size(17), depth = d.size(9);
  // Points on either side of a gap: no distance is near 0, where the root has no derivative.
  return {.inputs = {d.uniform({2, p, depth}, 0.5, 2), d.uniform({r, depth}, -2, -0.5)},
          .call = [](Inputs x) { return cdist(x[0], x[1]); },
          .formula =
              [=](Values x) {
                const auto a = x[0].to_vector(), b = x[1].to_vector();
                Tensor out = empty({2, p, r}, DType::f64);
                for (int64_t i = 0; i < 2 * p; ++i) {
                  for (int64_t j = 0; j < r; ++j) {
                    double sum = 0;
                    for (int64_t k = 0; k < depth; ++k) {
                      const double step = a[static_cast<size_t>(i * depth + k)] - b[static_cast<size_t>(j * depth + k)];
                      sum += step * step;
                    }
                    out.mutable_data<double>()[i * r + j] = std::sqrt(sum);
                  }
                }
                return out;
              }};
}

std::vector<Row> contraction_rows() {
  const Tensor a = f32_of({2, 3}), b = f32_of({4, 5});
  return {
      accumulating(
          "addmm", [](auto&&... x) { return addmm(x...); }, false),
      accumulating(
          "baddbmm", [](auto&&... x) { return baddbmm(x...); }, true),
      product("einsum", draw_einsum,
              {{"has 2 operands, got 1", [=] { einsum("ij,jk->ik", {a}); }},
               {"does not fit an operand of shape (2, 3)", [=] { einsum("ijk->i", {a}); }},
               {"does not fit an operand of shape (2, 3)", [=] { einsum("i...jk->i", {a}); }},
               {"'j' in \"ij,jk->ik\" has sizes 3 and 4",
                [=] {
                  einsum("ij,jk->ik", {a, b});
                }},
               {"names dimensions of sizes 2 and 3", [=] { einsum("ii", {a}); }},
               {"is no letter", [=] { einsum("i+->i", {a}); }},
               {"'k' in \"ij->k\" must occur once", [=] { einsum("ij->k", {a}); }},
               {"must occur once", [=] { einsum("ij->ii", {a}); }},
               {"got 0", [] { einsum("", std::span<const Variable>()); }}}),
      product("tensordot", draw_tensordot,
              {{"differ in size", [=] { tensordot(a, b, {0}, {0}); }},
               {"do not pair",
                [=] {
                  tensordot(a, b, {0, 1}, {0});
                }},
               {"given twice",
                [] {
                  tensordot(f32_of({2, 2}), f32_of({2, 2}), {0, 0}, {0, 1});
                }},
               {"3 dimensions of", [=] { tensordot(a, b, 3); }}}),
      product("kron", draw_kron,
              {{"at most 4 dimensions",
                [] {
                  kron(f32_of({1, 1, 1, 1, 1}), f32_of({1}));
                }}}),
      product("trace",
              [](Draw& d) {
                return Sample{.inputs = {d.normal({d.batch(33), d.size(33)})},
                              .call = [](Inputs x) { return trace(x[0]); },
                              .formula =
                                  [](Values x) {
                                    double sum = 0;
                                    for (int64_t i = 0; i < std::min(x[0].size(0), x[0].size(1)); ++i) {
                                      sum += x[0].to_vector()[static_cast<size_t>(i * x[0].size(1) + i)];
                                    }
                                    return tensor_of({sum}, {}, DType::f64);
                                  }};
              },
              {{"a matrix expected", [] { trace(f32_of({3})); }}}),
      product("cdist", draw_cdist,
              {{"points must be (..., P, D)",
                [] {
                  cdist(f32_of({3}), f32_of({3, 3}));
                }},
               {"do not fit", [=] { cdist(a, b); }}}),
  };
}

}  // namespace

std::vector<Row> product_rows() {
  std::vector<Row> rows = matrix_rows();
  for (Row& row : contraction_rows()) rows.push_back(std::move(row));
  return rows;
}

}  // namespace sfumato::testing
