#include "autograd/ops/join.h"

#include <vector>

#include "autograd/ops/cast.h"
#include "autograd/ops/view.h"
#include "autograd/record.h"

namespace sfumato {
namespace {

std::vector<Tensor> tensors_of(std::span<const Variable> inputs) {
  std::vector<Tensor> tensors;
  tensors.reserve(inputs.size());
  for (const Variable& input : inputs) {
    tensors.push_back(input.tensor());
  }
  return tensors;
}

using Rule = std::function<Variable(const Variable&)>;

// The inputs in the dtype that they meet in, through casts that gradients come back through; empty when they have one.
std::vector<Variable> promoted(std::span<const Variable> inputs) {
  DType common = inputs.empty() ? DType::f32 : inputs[0].dtype();
  bool mixed = false;
  for (const Variable& input : inputs) {
    mixed |= input.dtype() != common;
    common = promote_types(common, input.dtype());
  }
  std::vector<Variable> same;
  for (size_t i = 0; mixed && i < inputs.size(); ++i) {
    same.push_back(to(inputs[i], common));
  }
  return same;
}

}  // namespace

Variable cat(std::span<const Variable> inputs, int64_t dim) {
  if (const auto same = promoted(inputs); !same.empty()) {
    return cat(std::span<const Variable>(same), dim);
  }
  const Tensor out = cat(tensors_of(inputs), dim);
  const int d = normalize_dim("cat", dim, out.dim());
  return record_list("cat", out, inputs, [&](size_t i) -> Rule {
    int64_t begin = 0;
    for (size_t before = 0; before < i; ++before) {
      begin += inputs[before].size(d);
    }
    return [d, begin, length = inputs[i].size(d)](const Variable& g) { return narrow(g, d, begin, length); };
  });
}

Variable cat(std::initializer_list<Variable> inputs, int64_t dim) {
  return cat(std::span<const Variable>(inputs.begin(), inputs.size()), dim);
}

Variable stack(std::span<const Variable> inputs, int64_t dim) {
  if (const auto same = promoted(inputs); !same.empty()) {
    return stack(std::span<const Variable>(same), dim);
  }
  const Tensor out = stack(tensors_of(inputs), dim);
  const int d = normalize_dim("stack", dim, out.dim());
  return record_list("stack", out, inputs, [d](size_t i) -> Rule {
    return [d, i](const Variable& g) { return select(g, d, static_cast<int64_t>(i)); };
  });
}

Variable stack(std::initializer_list<Variable> inputs, int64_t dim) {
  return stack(std::span<const Variable>(inputs.begin(), inputs.size()), dim);
}

// What padding added is cropped from the gradient, and what it cropped is padded with zeros.
Variable pad(const Variable& x, const Dims& amounts, double value) {
  Dims reverse = amounts;
  for (int i = 0; i < amounts.rank(); ++i) {
    reverse[i] = -amounts[i];
  }
  return record("pad", pad(x.tensor(), amounts, value),
                wrt(x, [reverse](const Variable& g) { return pad(g, reverse); }));
}

Variable flip(const Variable& x, const Dims& dims) {
  return record("flip", flip(x.tensor(), dims), wrt(x, [dims](const Variable& g) { return flip(g, dims); }));
}

}  // namespace sfumato
