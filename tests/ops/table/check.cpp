#include "tests/ops/table/check.h"

#include <cmath>
#include <cstring>

#include "tensor/ops/elementwise.h"
#include "tensor/ops/view.h"
#include "tensor/parallel.h"

namespace sfumato::testing {

Tensor in_layout(const Tensor& x, Layout layout) {
  switch (layout) {
    case Layout::contiguous: return x.contiguous();
    case Layout::transposed: {
      Dims reversed;
      for (int d = x.dim() - 1; d >= 0; --d) reversed.push_back(d);
      return permute(permute(x, reversed).clone(), reversed);
    }
    case Layout::strided: {
      if (x.dim() == 0) return x.clone();
      Shape wide = x.shape();
      wide[wide.rank() - 1] *= 2;
      Tensor memory = ones(wide, x.dtype());
      Tensor view = slice(memory, -1, 0, wide[wide.rank() - 1], 2);
      view.copy_from(x);
      return view;
    }
    case Layout::shifted: {
      Tensor memory = ones({x.numel() + 1}, x.dtype());
      Tensor view = reshape(narrow(memory, 0, 1, x.numel()), x.shape());
      view.copy_from(x);
      return view;
    }
  }
  return x;
}

std::vector<Variable> leaves_of(const Sample& sample, DType dtype, Layout layout, bool requires_grad) {
  std::vector<Variable> leaves;
  for (const Tensor& input : sample.inputs) {
    leaves.emplace_back(in_layout(input.to(dtype).clone(), layout), requires_grad && is_floating(dtype));
  }
  return leaves;
}

Tensor call(const Sample& sample, DType dtype, Backend backend, Layout layout) {
  const BackendScope scope(fast_backend_available() ? backend : Backend::reference);
  return sample.call(leaves_of(sample, dtype, layout, false)).tensor();
}

Tensor truth_of(const Row& row, const Sample& sample) {
  if (row.dtypes.contains(DType::f64)) {
    return call(sample, DType::f64, Backend::reference).to(DType::f64);
  }
  ensure(static_cast<bool>(sample.formula), "table: row ", row.name, " has no f64 and needs a formula");
  return sample.formula(sample.inputs);
}

Tensor wrapped(const Tensor& values, DType dtype) {
  return dtype == DType::u8 ? values - floor(values / 256.0) * 256.0 : values;
}

namespace {

double largest_of(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  return largest;
}

// Within tolerance and, beside that, within `absolute`.
std::string difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance, double absolute) {
  if (!(got.shape() == wanted.shape())) {
    return fmt::format("the shape is {}, not {}", to_string(got.shape()), to_string(wanted.shape()));
  }
  const auto ours = got.to_vector(), theirs = wanted.to_vector();
  const double largest = largest_of(theirs);
  for (size_t i = 0; i < ours.size(); ++i) {
    if (std::isnan(theirs[i]) ? std::isnan(ours[i]) : ours[i] == theirs[i]) continue;
    const double allowed = tolerance.relative * std::abs(theirs[i]) + tolerance.of_largest * largest + absolute;
    if (!(std::abs(ours[i] - theirs[i]) <= allowed) || !std::isfinite(theirs[i])) {
      return fmt::format("element {} is {:.9g}, not {:.9g} (off by {:.3g}, allowed {:.3g})", i, ours[i], theirs[i],
                         std::abs(ours[i] - theirs[i]), allowed);
    }
  }
  return {};
}

}  // namespace

std::string difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance) {
  return difference(got, wanted, tolerance, 0);
}

std::string difference(const Tensor& got, const Tensor& wanted, const Row& row, DType dtype, const Sample& sample) {
  const Tolerance tolerance = tolerance_of(row, dtype);
  double largest = 0;
  for (const Tensor& input : sample.inputs) {
    if (tolerance.of_inputs > 0) largest = std::max(largest, largest_of(input.to_vector()));
  }
  return difference(got, wanted, tolerance, tolerance.of_inputs * largest);
}

std::string bit_difference(const Tensor& got, const Tensor& wanted) {
  if (!(got.shape() == wanted.shape()) || got.dtype() != wanted.dtype()) {
    return fmt::format("the result is {} {}, not {} {}", name_of(got.dtype()), to_string(got.shape()),
                       name_of(wanted.dtype()), to_string(wanted.shape()));
  }
  const Tensor a = got.contiguous(), b = wanted.contiguous();
  const size_t bytes = static_cast<size_t>(a.numel()) * size_of(a.dtype());
  if (bytes == 0 || std::memcmp(a.raw_data(), b.raw_data(), bytes) == 0) return {};
  const std::string where = difference(got, wanted, {0, 0});
  return where.empty() ? "bits differ (in the sign of a zero, or in a NaN)" : where;
}

Tolerance tolerance_of(const Row& row, DType dtype) {
  switch (dtype) {
    case DType::f32: return row.f32;
    case DType::bf16: return row.bf16;
    default: return {1e-12, 1e-12};
  }
}

ThreadScope::ThreadScope(int threads) : previous_(num_threads()) {
  if (threads != previous_) set_num_threads(threads);
}
ThreadScope::~ThreadScope() {
  if (num_threads() != previous_) set_num_threads(previous_);
}

}  // namespace sfumato::testing
