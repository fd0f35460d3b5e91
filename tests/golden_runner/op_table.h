// Ops by their names in ops.json and second.json: the one place that maps the reference's names and arguments to calls.
//
//   OpCall call(description, inputs);            // "op", "args" and "inputs" of a case
//   Variable y = call_op(call);                  // throws NotBuilt for an op, argument or value that does not exist
//   here
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "autograd/variable.h"

namespace sfumato::golden {

// A call's arguments and inputs. It notes which have been read, so that nothing given is silently ignored.
class OpCall {
 public:
  // `description` is a case of the JSON; `inputs` holds its inputs by name.
  OpCall(const nlohmann::json& description, const std::map<std::string, Variable>& inputs);

  const std::string& op() const { return op_; }

  bool has_input(const std::string& name) const { return inputs_.count(name) != 0; }
  // Throws NotBuilt when there is no such input.
  const Variable& input(const std::string& name) const;
  // Undefined when there is no such input.
  Variable optional_input(const std::string& name) const;
  const Tensor& tensor(const std::string& name) const { return input(name).tensor(); }
  // All of them, in the JSON's order.
  std::vector<Variable> all_inputs() const;

  bool has(const std::string& name) const { return args_.contains(name) && !args_.at(name).is_null(); }
  // An argument; null counts as not given. Without a default a missing one throws NotBuilt.
  template <class T>
  T arg(const std::string& name) const {
    require_arg(name);
    return args_.at(name).get<T>();
  }
  template <class T>
  T arg(const std::string& name, const T& otherwise) const {
    used_.insert(name);
    return has(name) ? args_.at(name).get<T>() : otherwise;
  }
  // A number or a list of them; empty when not given.
  Dims dims(const std::string& name) const;
  const nlohmann::json& json(const std::string& name) const {
    require_arg(name);
    return args_.at(name);
  }

  // Throws NotBuilt naming what has been given and never read.
  void require_all_used() const;

 private:
  void require_arg(const std::string& name) const;

  std::string op_;
  nlohmann::json args_;
  std::vector<std::string> order_;
  std::map<std::string, Variable> inputs_;
  mutable std::set<std::string> used_, used_inputs_;
};

Variable call_op(const OpCall& call);

}  // namespace sfumato::golden
