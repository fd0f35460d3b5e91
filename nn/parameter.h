// Parameter: a trainable tensor of a module, with the rule for its first values.
//
//   Parameter weight{{64, 3, 3, 3}, InitRule::uniform(1 / std::sqrt(27.0))};
//   initialize(net, /*seed=*/0);             // "nn/init.h"; or load_state_dict(net, file): now it has values
//   Variable y = conv2d(x, weight, {});      // reads as a Variable
//   weight->grad();                          // and so do its members
//
// A parameter knows its shape from the start but has no values (and no memory) until they are drawn or loaded; using it
// earlier throws. So a network that someone forgot to initialise does not train on zeros, and a large one can be
// counted and printed at no cost.
#pragma once

#include <string>

#include "autograd/variable.h"

namespace sfumato {

// Where a parameter's first values come from.
struct InitRule {
  enum class Kind { zeros, ones, uniform, normal };
  Kind kind = Kind::zeros;
  double scale = 0;  // uniform: in [-scale, scale); normal: the standard deviation

  static InitRule zeros() { return {}; }
  static InitRule ones() { return {Kind::ones}; }
  static InitRule uniform(double bound) { return {Kind::uniform, bound}; }
  static InitRule normal(double deviation) { return {Kind::normal, deviation}; }
};

class Parameter {
 public:
  // Absent: a layer without bias. It reads as an undefined Variable and has no name in the state dict.
  Parameter() = default;
  Parameter(const Shape& shape, InitRule init) : shape_(shape), init_(init), present_(true) {}
  // A parameter is one: a copy would share its memory behind your back.
  Parameter(Parameter&&) noexcept = default;
  Parameter& operator=(Parameter&&) noexcept = default;

  bool present() const { return present_; }
  bool has_values() const { return variable_.defined(); }
  const Shape& shape() const { return shape_; }
  const InitRule& init_rule() const { return init_; }

  // Copies `values` (any floating dtype) into this parameter's memory, so that a flat buffer behind it stays in use;
  // the first time, memory of `values`' dtype is made, or taken over when nobody else holds it. Throws when the shape
  // differs.
  void assign(Tensor values);
  // Turns values into another floating dtype: new memory, and no gradient.
  void convert(DType dtype);

  // Undefined when absent. Throws while there are no values.
  const Variable& variable() const;
  operator const Variable&() const { return variable(); }  // NOLINT(google-explicit-constructor): reads as one
  const Variable* operator->() const { return &variable(); }
  // For what changes a leaf (zero_grad, set_tensor, hooks): a handle to the same leaf.
  Variable handle() const { return variable(); }

 private:
  Shape shape_;
  InitRule init_;
  bool present_ = false;
  Variable variable_;
};

}  // namespace sfumato
