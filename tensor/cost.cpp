#include "tensor/cost.h"

#include <utility>

#include "tensor/dry_run.h"

namespace sfumato {

CostScope::CostScope(CostListener listener)
    : listener_(std::move(listener)), previous_(std::exchange(detail::cost_listener, &listener_)) {}
CostScope::~CostScope() { detail::cost_listener = previous_; }

DryRunScope::DryRunScope() : previous_(std::exchange(detail::dry_run_flag, true)) {}
DryRunScope::~DryRunScope() { detail::dry_run_flag = previous_; }

namespace detail {

void tell_cost(const char* op, const char* kernel, std::initializer_list<const Tensor*> operands, double flops) {
  double bytes = 0;
  for (const Tensor* operand : operands) {
    if (operand->defined()) {
      bytes += static_cast<double>(operand->numel()) * static_cast<double>(size_of(operand->dtype()));
    }
  }
  (*cost_listener)({op, kernel, flops, bytes});
}

}  // namespace detail
}  // namespace sfumato
