// What "tensor/backend/fast/vector_math.h" promises of its functions: their largest errors in units of the last place.
#include "catch.h"

#ifdef SFUMATO_FAST
#include <cmath>

#include "tensor/backend/backend.h"
#include "tensor/backend/fast/elementwise_kernels.h"
#include "tensor/backend/fast/isa.h"
#include "tensor/ops/creation.h"

using namespace sfumato;

namespace {

struct Function {
  const char* name;
  UnaryOp op;
  double low, high;  // where results are normal numbers
  double (*exact)(double);
  double most_ulps;
};

const Function kFunctions[] = {
    {"exp", UnaryOp::exp, -87, 88, [](double x) { return std::exp(x); }, 1.1},
    {"log", UnaryOp::log, 1e-3, 1e3, [](double x) { return std::log(x); }, 0.9},
    {"tanh", UnaryOp::tanh, -9, 9, [](double x) { return std::tanh(x); }, 1.4},
    {"erf", UnaryOp::erf, -4, 4, [](double x) { return std::erf(x); }, 1.4},
    {"sigmoid", UnaryOp::sigmoid, -80, 80, [](double x) { return 1 / (1 + std::exp(-x)); }, 2.6},
    {"silu", UnaryOp::silu, -80, 80, [](double x) { return x / (1 + std::exp(-x)); }, 2.6},
};

double ulp_of(double exact) { return std::ldexp(1.0, std::max(std::ilogb(exact), -126) - 23); }

double worst_error(const Function& f, const Tensor& x, const Tensor& y) {
  const auto in = x.to_vector(), out = y.to_vector();
  double worst = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    const double exact = f.exact(in[i]);
    if (exact != 0) worst = std::max(worst, std::abs(out[i] - exact) / ulp_of(exact));
  }
  return worst;
}

}  // namespace

TEST_CASE("vector functions: errors in ulps stay below what is promised", "[tensor][elementwise][ulp]") {
  std::vector<std::pair<fast::Isa, decltype(&fast::baseline::unary_run)>> kernels{
      {fast::Isa::baseline, &fast::baseline::unary_run}};
  if (fast::isa() >= fast::Isa::avx2) kernels.emplace_back(fast::Isa::avx2, &fast::avx2::unary_run);
  if (fast::isa() >= fast::Isa::avx512) kernels.emplace_back(fast::Isa::avx512, &fast::avx512::unary_run);
  constexpr int64_t kPoints = 1 << 18;
  for (const Function& f : kFunctions) {
    const Tensor x = linspace(f.low, f.high, kPoints);
    for (const auto& [isa, unary_run] : kernels) {
      Tensor y = empty({kPoints});
      unary_run(f.op, 0, 0, x.data<float>(), 1, y.mutable_data<float>(), kPoints);
      CAPTURE(f.name, fast::name_of(isa));
      const double worst = worst_error(f, x, y);
      CHECK(worst < f.most_ulps);
      CHECK(worst > 0.3);  // less is impossible, so the comparison itself works
    }
  }
}
#endif
