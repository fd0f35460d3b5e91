// What an op that is composed of others checks first, so that errors carry the name that the user called.
//
//   require_floats("mm", {a, b});      // defined, floating, and of one dtype
#pragma once

#include <initializer_list>

#include "autograd/variable.h"

namespace sfumato {

// Throws unless all inputs are defined and share one dtype of `declared`.
inline void require_dtype(const char* op, DTypeSet declared, std::initializer_list<Variable> inputs) {
  for (const Variable& input : inputs) {
    check(input.defined(), op, ": an input is undefined");
    check_dtype(op, declared, input.dtype());
    check(input.dtype() == inputs.begin()->dtype(), op, ": inputs of one dtype expected, got ", inputs.begin()->dtype(),
          " and ", input.dtype());
  }
}

inline void require_floats(const char* op, std::initializer_list<Variable> inputs) {
  require_dtype(op, kFloats, inputs);
}

}  // namespace sfumato
