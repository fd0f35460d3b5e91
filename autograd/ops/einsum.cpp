// Contractions by letters. Each operand becomes a tensor with one dimension per letter in a fixed order (size 1 where
// it lacks the letter); two of them are multiplied as a batch of matrices:
//
//   batch letters (in both, and needed later)   left only   right only   summed (in both, not needed later)
#include <algorithm>
#include <map>
#include <string>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/require.h"
#include "autograd/ops/view.h"

namespace sfumato {
namespace {

// A tensor and the letter of each dimension. Dimensions of "..." have the letters '0', '1', ... counted from the last.
struct Labelled {
  Variable x;
  std::string labels;

  bool has(char label) const { return labels.find(label) != std::string::npos; }
  int64_t size(char label) const { return x.size(static_cast<int64_t>(labels.find(label))); }
};

std::string without_spaces(std::string_view text) {
  std::string result;
  std::copy_if(text.begin(), text.end(), std::back_inserter(result), [](char c) { return c != ' '; });
  return result;
}

// "a...b" for an operand or output whose ellipsis stands for `ellipsis` dimensions: "a10b".
std::string expand_labels(const std::string& term, int ellipsis, std::string_view equation) {
  const size_t dots = term.find("...");
  std::string labels = dots == std::string::npos ? term : term.substr(0, dots) + term.substr(dots + 3);
  for (const char c : labels) {
    check((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), "einsum: '", std::string(1, c), "' in \"",
          std::string(equation), "\" is no letter");
  }
  if (dots != std::string::npos) {
    std::string stands_for;
    for (int i = ellipsis - 1; i >= 0; --i) {
      stands_for += static_cast<char>('0' + i);
    }
    labels.insert(dots, stands_for);
  }
  return labels;
}

std::vector<std::string> split_terms(const std::string& list) {
  std::vector<std::string> terms(1);
  for (const char c : list) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back() += c;
    }
  }
  return terms;
}

// The diagonal of dimensions i < j of one size, which stays in i's place.
Variable diagonal_of(const Variable& x, int i, int j) {
  Dims order;
  for (int d = 0; d < x.dim(); ++d) {
    if (d != i && d != j) order.push_back(d);
  }
  const int rest = order.rank();
  order.push_back(i);
  order.push_back(j);
  const int64_t n = x.size(i);
  const Variable last = permute(x, order);
  Shape flat(last.shape().span().first(static_cast<size_t>(rest)));
  flat.push_back(n * n);
  const Variable line = slice(reshape(last, flat), -1, 0, n * n, n + 1);
  Dims back;
  for (int d = 0; d < rest; ++d) back.push_back(d);
  back.insert(i, rest);
  return permute(line, back);
}

Labelled without_repeats(Labelled operand, std::string_view equation) {
  for (size_t i = 0; i < operand.labels.size(); ++i) {
    for (size_t j; (j = operand.labels.find(operand.labels[i], i + 1)) != std::string::npos;) {
      check(operand.x.size(static_cast<int64_t>(i)) == operand.x.size(static_cast<int64_t>(j)), "einsum: '",
            operand.labels.substr(i, 1), "' in \"", std::string(equation), "\" names dimensions of sizes ",
            operand.x.size(static_cast<int64_t>(i)), " and ", operand.x.size(static_cast<int64_t>(j)),
            " of one operand");
      operand.x = diagonal_of(operand.x, static_cast<int>(i), static_cast<int>(j));
      operand.labels.erase(j, 1);
    }
  }
  return operand;
}

// Sums over the labels that `keep` lacks.
Labelled summed_to(const Labelled& operand, const std::string& keep) {
  Dims summed;
  std::string left;
  for (size_t d = 0; d < operand.labels.size(); ++d) {
    if (keep.find(operand.labels[d]) == std::string::npos) {
      summed.push_back(static_cast<int64_t>(d));
    } else {
      left += operand.labels[d];
    }
  }
  return summed.rank() == 0 ? operand : Labelled{sum(operand.x, summed), left};
}

// Dimensions in the order of `labels`, those of one group folded into one.
Variable arranged(const Labelled& operand, std::initializer_list<std::string> groups) {
  Dims order;
  Shape folded;
  for (const std::string& group : groups) {
    int64_t size = 1;
    for (const char label : group) {
      order.push_back(static_cast<int64_t>(operand.labels.find(label)));
      size *= operand.size(label);
    }
    folded.push_back(size);
  }
  return reshape(permute(operand.x, order), folded);
}

// The product of two operands, summed over what neither `needed` nor the other one wants.
Labelled contract(const Labelled& a_full, const Labelled& b_full, const std::string& needed) {
  // A dimension of size 1 broadcasts: it takes no part in the product.
  const auto drop_ones = [&](const Labelled& from, const Labelled& other) {
    Labelled x = from;
    for (size_t d = x.labels.size(); d-- > 0;) {
      if (x.x.size(static_cast<int64_t>(d)) == 1 && other.has(x.labels[d]) && other.size(x.labels[d]) != 1) {
        x.x = squeeze(x.x, static_cast<int64_t>(d));
        x.labels.erase(d, 1);
      }
    }
    return x;
  };
  Labelled a = drop_ones(a_full, b_full), b = drop_ones(b_full, a_full);
  a = summed_to(a, b.labels + needed);
  b = summed_to(b, a.labels + needed);
  std::string batch, left, right, shared;
  for (const char label : a.labels) {
    (!b.has(label) ? left : needed.find(label) != std::string::npos ? batch : shared) += label;
  }
  for (const char label : b.labels) {
    if (!a.has(label)) right += label;
  }
  const Variable product = matmul(arranged(a, {batch, left, shared}), arranged(b, {batch, shared, right}));
  Shape shape;
  for (const char label : batch + left) shape.push_back(a.size(label));
  for (const char label : right) shape.push_back(b.size(label));
  return {reshape(product, shape), batch + left + right};
}

// The output's labels when the equation has no arrow: the ellipsis, then letters that occur once, sorted.
std::string implicit_output(const std::vector<std::string>& terms, int ellipsis) {
  std::map<char, int> count;
  for (const std::string& term : terms) {
    for (const char c : term) {
      if (c != '.') ++count[c];
    }
  }
  std::string output;
  for (int i = ellipsis - 1; i >= 0; --i) output += static_cast<char>('0' + i);
  for (const auto& [label, times] : count) {
    if (times == 1) output += label;
  }
  return output;
}

void check_sizes(const std::vector<Labelled>& operands, std::string_view equation) {
  std::map<char, int64_t> sizes;
  for (const Labelled& operand : operands) {
    for (const char label : operand.labels) {
      int64_t& known = sizes.try_emplace(label, operand.size(label)).first->second;
      check(known == operand.size(label) || known == 1 || operand.size(label) == 1, "einsum: '", std::string(1, label),
            "' in \"", std::string(equation), "\" has sizes ", known, " and ", operand.size(label));
      known = known == 1 ? operand.size(label) : known;
    }
  }
}

}  // namespace

Variable einsum(std::string_view equation, std::span<const Variable> operands) {
  const std::string text = without_spaces(equation), shown(equation);
  const size_t arrow = text.find("->");
  const std::vector<std::string> terms = split_terms(text.substr(0, arrow));
  check(!operands.empty() && terms.size() == operands.size(), "einsum: \"", shown, "\" has ", terms.size(),
        " operands, got ", operands.size());
  int ellipsis = 0;
  for (size_t i = 0; i < operands.size(); ++i) {
    require_floats("einsum", {operands[0], operands[i]});
    const bool dots = terms[i].find("...") != std::string::npos;
    const int letters = static_cast<int>(terms[i].size()) - (dots ? 3 : 0);
    check(dots ? operands[i].dim() >= letters : operands[i].dim() == letters, "einsum: \"", terms[i], "\" in \"", shown,
          "\" does not fit an operand of shape ", operands[i].shape());
    ellipsis = std::max(ellipsis, dots ? operands[i].dim() - letters : 0);
  }
  std::vector<Labelled> rest;
  std::string all;
  for (size_t i = 0; i < operands.size(); ++i) {
    const int own = operands[i].dim() - static_cast<int>(terms[i].size()) + 3;
    rest.push_back(without_repeats({operands[i], expand_labels(terms[i], own, equation)}, equation));
    all += rest.back().labels;
  }
  check_sizes(rest, equation);
  const std::string output = arrow == std::string::npos ? implicit_output(terms, ellipsis)
                                                        : expand_labels(text.substr(arrow + 2), ellipsis, equation);
  for (size_t i = 0; i < output.size(); ++i) {
    check(all.find(output[i]) != std::string::npos && output.find(output[i], i + 1) == std::string::npos, "einsum: '",
          output.substr(i, 1), "' in \"", shown, "\" must occur once on the right and in an operand");
  }
  Labelled result = rest[0];
  for (size_t i = 1; i < rest.size(); ++i) {
    std::string needed = output;
    for (size_t later = i + 1; later < rest.size(); ++later) needed += rest[later].labels;
    result = contract(result, rest[i], needed);
  }
  result = summed_to(result, output);
  Dims order;
  for (const char label : output) order.push_back(static_cast<int64_t>(result.labels.find(label)));
  return permute(result.x, order);
}

Variable einsum(std::string_view equation, std::initializer_list<Variable> operands) {
  return einsum(equation, std::span<const Variable>(operands.begin(), operands.size()));
}

Variable tensordot(const Variable& a, const Variable& b, const Dims& dims_a, const Dims& dims_b) {
  constexpr const char* op = "tensordot";
  require_floats(op, {a, b});
  check(dims_a.rank() == dims_b.rank(), op, ": dims of a ", dims_a, " and of b ", dims_b, " do not pair");
  std::string labels_a, labels_b;
  for (int d = 0; d < a.dim(); ++d) labels_a += static_cast<char>('a' + d);
  for (int d = 0; d < b.dim(); ++d) labels_b += static_cast<char>('A' + d);
  for (int i = 0; i < dims_a.rank(); ++i) {
    const int from = normalize_dim(op, dims_a[i], a.dim()), to = normalize_dim(op, dims_b[i], b.dim());
    check(a.size(from) == b.size(to), op, ": dimension ", dims_a[i], " of a ", a.shape(), " and ", dims_b[i], " of b ",
          b.shape(), " differ in size");
    auto& label = labels_b[static_cast<size_t>(to)];
    check(label >= 'A' && label <= 'Z' && labels_b.find(labels_a[static_cast<size_t>(from)]) == std::string::npos, op,
          ": a dimension is given twice in ", dims_a, " or ", dims_b);
    label = labels_a[static_cast<size_t>(from)];
  }
  std::string output;
  for (const char c : labels_a) {
    if (labels_b.find(c) == std::string::npos) output += c;
  }
  for (const char c : labels_b) {
    if (labels_a.find(c) == std::string::npos) output += c;
  }
  return einsum(labels_a + "," + labels_b + "->" + output, {a, b});
}

Variable tensordot(const Variable& a, const Variable& b, int64_t dims) {
  require_floats("tensordot", {a, b});
  check(dims >= 0 && dims <= a.dim() && dims <= b.dim(), "tensordot: ", dims, " dimensions of ", a.shape(), " and ",
        b.shape(), " asked for");
  Dims last, first;
  for (int64_t d = 0; d < dims; ++d) {
    last.push_back(a.dim() - dims + d);
    first.push_back(d);
  }
  return tensordot(a, b, last, first);
}

Variable kron(const Variable& a, const Variable& b) {
  require_floats("kron", {a, b});
  const int rank = std::max(a.dim(), b.dim());
  check(2 * rank <= kMaxRank, "kron: at most ", kMaxRank / 2, " dimensions, got ", a.shape(), " and ", b.shape());
  Shape left, right, result;
  for (int d = 0; d < rank; ++d) {
    const int64_t own = d < rank - a.dim() ? 1 : a.shape()[d - rank + a.dim()];
    const int64_t other = d < rank - b.dim() ? 1 : b.shape()[d - rank + b.dim()];
    for (const int64_t size : {own, int64_t{1}}) left.push_back(size);
    for (const int64_t size : {int64_t{1}, other}) right.push_back(size);
    result.push_back(own * other);
  }
  return reshape(mul(reshape(a, left), reshape(b, right)), result);
}

Variable trace(const Variable& x) {
  require_floats("trace", {x});
  check(x.dim() == 2, "trace: a matrix expected, got ", x.shape());
  const int64_t n = std::min(x.size(0), x.size(1));
  return einsum("ii->", {narrow(narrow(x, 0, 0, n), 1, 0, n)});
}

}  // namespace sfumato
