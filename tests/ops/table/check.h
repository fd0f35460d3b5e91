// What the tests of the table share: calling a sample in some dtype, backend, layout and number of threads, and judging
// the result.
#pragma once

#include <string>
#include <vector>

#include "tensor/backend/backend.h"
#include "tests/ops/table/row.h"

namespace sfumato::testing {

// The same values in another memory layout.
enum class Layout {
  contiguous,
  transposed,  // dimensions lie in reverse order
  strided,     // every other element of a wider tensor
  shifted,     // contiguous, but at an odd place
};
inline constexpr Layout kViews[] = {Layout::transposed, Layout::strided, Layout::shifted};
Tensor in_layout(const Tensor& x, Layout layout);

// The inputs in `dtype`, as leaves that require a gradient or not.
std::vector<Variable> leaves_of(const Sample& sample, DType dtype, Layout layout, bool requires_grad);

// The result without a tape.
Tensor call(const Sample& sample, DType dtype, Backend backend = Backend::fast, Layout layout = Layout::contiguous);

// The f64 result of the plain kernels, or of the row's own formula where there is no f64 op.
Tensor truth_of(const Row& row, const Sample& sample);

// Numbers as `dtype` holds them: those of u8 modulo 256, all others as they are.
Tensor wrapped(const Tensor& values, DType dtype);

// What is wrong with `got`; empty when nothing is. NaN agrees with NaN, an infinity with itself.
std::string difference(const Tensor& got, const Tensor& wanted, const Tolerance& tolerance);
std::string bit_difference(const Tensor& got, const Tensor& wanted);

// How f32 or bf16 results of the row may differ; f64 and integers within 1e-12.
Tolerance tolerance_of(const Row& row, DType dtype);
// Whether `got` lies within the row's tolerance of `wanted`; empty if so, else what is wrong.
std::string difference(const Tensor& got, const Tensor& wanted, const Row& row, DType dtype, const Sample& sample);

// Sets the number of threads while it lives.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int previous_;
};

}  // namespace sfumato::testing
