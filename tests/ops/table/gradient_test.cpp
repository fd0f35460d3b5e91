// Every row's derivatives: first and second order against central differences in f64, the fused backward pass against
// the composed one, gradients of views, of empty tensors and of bf16, and what happens when a saved tensor is modified.
#include "catch.h"

#include "autograd/gradcheck.h"
#include "tests/ops/table/check.h"

using namespace sfumato;
using namespace sfumato::testing;

namespace {

constexpr int64_t kDraws = 4;

// d<cotangent, f(x)>/dx for every input, zeros where there is no dependence.
std::vector<Tensor> gradients_of(const Variable& out, std::span<const Variable> leaves, bool create_graph) {
  std::vector<Tensor> gradients;
  std::vector<Variable> found(leaves.size());
  if (out.requires_grad()) {
    RandomScope scope({.seed = 3});
    const Tensor cotangent = affine(rand({1, out.numel()}, "cotangent", DType::f64), 2, -1).reshape(out.shape());
    found = grad(out, leaves, Variable(cotangent.to(out.dtype())), {.create_graph = create_graph});
  }
  for (size_t i = 0; i < leaves.size(); ++i) {
    gradients.push_back(found[i].defined() ? found[i].tensor() : zeros_like(leaves[i].tensor()));
  }
  return gradients;
}

std::vector<Tensor> gradients_of(
    const Sample& sample, DType dtype, Backend backend, Layout layout = Layout::contiguous, bool create_graph = false) {
  const BackendScope scope(fast_backend_available() ? backend : Backend::reference);
  const auto leaves = leaves_of(sample, dtype, layout, true);
  return gradients_of(sample.call(leaves), leaves, create_graph);
}

void expect_same(const std::vector<Tensor>& got, const std::vector<Tensor>& wanted, const Tolerance& tolerance) {
  REQUIRE(got.size() == wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const std::string problem = difference(got[i], wanted[i], tolerance);
    if (!problem.empty()) FAIL_CHECK("the gradient of input " << i << ": " << problem);
  }
}

// Gradients sum over what was broadcast or reduced, so they may lose a little more than values do.
Tolerance gradient_tolerance(const Row& row, DType dtype) {
  const Tolerance t = tolerance_of(row, dtype);
  return {4 * t.relative, 4 * t.of_largest};
}

template <class Check>
void for_each_differentiable(Sizes sizes, DType dtype, int64_t draws, Check check) {
  for (const Row& row : all_rows()) {
    if (!row.differentiable || !row.dtypes.contains(dtype)) continue;
    for (int64_t number = 0; number < draws; ++number) {
      Draw draw(row.name, dtype, sizes, number);
      const Sample sample = row.draw(draw);
      CAPTURE(row.name, number);
      check(row, sample);
    }
  }
}

}  // namespace

TEST_CASE("table: first and second derivatives are those of differences, rtol 1e-6", "[table][gradcheck]") {
  const BackendScope plain(Backend::reference);
  for_each_differentiable(Sizes::small, DType::f64, kDraws, [](const Row&, const Sample& sample) {
    std::string why;
    const bool first = gradcheck(sample.call, sample.inputs, {}, &why);
    INFO(why);
    CHECK(first);
    why.clear();
    const bool second = gradgradcheck(sample.call, sample.inputs, {}, &why);
    INFO(why);
    CHECK(second);
  });
}

TEST_CASE("table: fused and composed backward passes agree", "[table][gradcheck]") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    for_each_differentiable(Sizes::any, dtype, kDraws, [dtype](const Row& row, const Sample& sample) {
      expect_same(gradients_of(sample, dtype, Backend::fast, Layout::contiguous, false),
                  gradients_of(sample, dtype, Backend::fast, Layout::contiguous, true), gradient_tolerance(row, dtype));
    });
  }
}

TEST_CASE("table: gradients of the fast kernels are those of the plain ones, of views those of copies",
          "[table][gradcheck]") {
  for_each_differentiable(Sizes::any, DType::f32, kDraws, [](const Row& row, const Sample& sample) {
    std::vector<Tensor> truth = gradients_of(sample, DType::f64, Backend::reference);
    expect_same(gradients_of(sample, DType::f32, Backend::reference), truth, gradient_tolerance(row, DType::f32));
    expect_same(gradients_of(sample, DType::f32, Backend::fast), truth, gradient_tolerance(row, DType::f32));
    for (const Layout layout : kViews) {
      expect_same(gradients_of(sample, DType::f32, Backend::fast, layout), truth, gradient_tolerance(row, DType::f32));
    }
  });
}

TEST_CASE("table: bf16 gradients come in bf16, near those of f64", "[table][gradcheck]") {
  for_each_differentiable(Sizes::any, DType::bf16, 2, [](const Row& row, const Sample& sample) {
    const auto ours = gradients_of(sample, DType::bf16, Backend::fast);
    for (const Tensor& gradient : ours) CHECK(gradient.dtype() == DType::bf16);
    expect_same(ours, gradients_of(sample, DType::f64, Backend::reference), gradient_tolerance(row, DType::bf16));
  });
}

TEST_CASE("table: empty tensors and scalars have gradients of their shape", "[table][gradcheck]") {
  for (const Sizes sizes : {Sizes::empty, Sizes::scalar}) {
    for_each_differentiable(sizes, DType::f32, 2, [](const Row& row, const Sample& sample) {
      expect_same(gradients_of(sample, DType::f32, Backend::fast), gradients_of(sample, DType::f64, Backend::reference),
                  gradient_tolerance(row, DType::f32));
    });
  }
}

// After an input has been written to, the backward pass either does without it or says so: never a wrong gradient.
TEST_CASE("table: a saved tensor that was modified is noticed", "[table][gradcheck]") {
  int64_t noticed = 0;
  for_each_differentiable(Sizes::small, DType::f64, 2, [&](const Row&, const Sample& sample) {
    const auto truth = gradients_of(sample, DType::f64, Backend::fast);
    for (size_t i = 0; i < sample.inputs.size(); ++i) {
      const auto leaves = leaves_of(sample, DType::f64, Layout::contiguous, true);
      const Variable out = sample.call(leaves);
      Tensor memory = leaves[i].tensor();
      memory.fill(7);
      try {
        expect_same(gradients_of(out, leaves, false), truth, {1e-12, 1e-12});
      } catch (const Error& error) {
        ++noticed;
        CHECK_THAT(error.what(), ContainsSubstring("modified in place"));
      }
    }
  });
  CHECK((noticed > 0 || all_rows().size() < 50));  // SFUMATO_TEST_OPS may leave none that saves
}
