#include "autograd/autocast.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "autograd/node.h"
#include "autograd/ops/cast.h"

namespace sfumato {
namespace {

// Parameters that have been cast under the guards of this thread. There are as many as a network has weights, and each
// is looked up a few times per step: a linear search would not do for large networks, so they are sorted by address.
struct CastParameter {
  Variable parameter;  // keeps the address taken
  Tensor from;
  uint64_t version;
  uint64_t scope;
  Variable low;
};
thread_local std::vector<CastParameter> cast_parameters;
thread_local int guards = 0;
thread_local uint64_t scopes = 0, scope = 0;  // so far, and the one in force

bool is_current(const CastParameter& cast, const Tensor& tensor) {
  return cast.scope == scope && cast.from.shares_storage_with(tensor) && cast.version == tensor.version() &&
         !cast.low.state()->producer->released();
}

}  // namespace

namespace detail {

Variable cast_low(const Variable& x) {
  // What is cast without a record has no gradient to give; and only parameters are worth keeping.
  if (!x.is_leaf() || !x.requires_grad() || !grad_enabled()) {
    return to(x, autocast_state.dtype);
  }
  const auto place = std::lower_bound(
      cast_parameters.begin(), cast_parameters.end(), x.state().get(),
      [](const CastParameter& entry, const VariableState* state) { return entry.parameter.state().get() < state; });
  const bool found = place != cast_parameters.end() && place->parameter.state() == x.state();
  if (found && is_current(*place, x.tensor())) {
    return place->low;
  }
  Variable low = to(x, autocast_state.dtype);
  if (found) {
    *place = {x, x.tensor(), x.tensor().version(), scope, low};
  } else {
    cast_parameters.insert(place, {x, x.tensor(), x.tensor().version(), scope, low});
  }
  return low;
}

CastScope::CastScope() : previous_(std::exchange(scope, ++scopes)) {}
CastScope::~CastScope() { scope = previous_; }

}  // namespace detail

AutocastGuard::AutocastGuard(const AutocastState& state) : previous_(detail::autocast_state) {
  check(state.dtype == DType::bf16, "autocast: the lower precision is bf16, got ", state.dtype);
  detail::autocast_state = state;
  ++guards;
}

AutocastGuard::~AutocastGuard() {
  detail::autocast_state = previous_;
  if (--guards == 0) {
    cast_parameters.clear();
  }
}

Variable autocast_f32(const Variable& x) { return x.defined() && x.dtype() == DType::bf16 ? to(x, DType::f32) : x; }

}  // namespace sfumato
