#include "autograd/autocast.h"

#include <algorithm>
#include <vector>

#include "autograd/ops/cast.h"

namespace sfumato {
namespace {

// Parameters that have been cast under the guards of this thread. There are as many as a network has weights, and each
// is looked up a few times per step: a linear search would not do for large networks, so they are sorted by address.
struct CastParameter {
  Variable parameter;  // keeps the address taken
  uint64_t version;
  Variable low;
};
thread_local std::vector<CastParameter> cast_parameters;
thread_local int guards = 0;

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
  if (found && place->version == x.tensor().version()) {
    return place->low;
  }
  Variable low = to(x, autocast_state.dtype);
  if (found) {
    *place = {x, x.tensor().version(), low};
  } else {
    cast_parameters.insert(place, {x, x.tensor().version(), low});
  }
  return low;
}

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
