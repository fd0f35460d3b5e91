#include "nn/module.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <typeinfo>

namespace sfumato {
namespace {

// Follows visit() down the tree, joining names.
class Walker : public Visitor {
 public:
  explicit Walker(const ModuleWalk& calls) : calls_(calls) {}

  void enter(Module& module) {
    if (calls_.module) {
      calls_.module(prefix_, module);
    }
    module.visit(*this);
  }

 protected:
  void on_module(std::string_view name, Module& module) override {
    const size_t length = prefix_.size();
    prefix_ = joined(name);
    enter(module);
    prefix_.resize(length);
  }
  void on_parameter(std::string_view name, Parameter& parameter) override {
    if (calls_.parameter && parameter.present()) {
      calls_.parameter(joined(name), parameter);
    }
  }
  void on_buffer(std::string_view name, Tensor& buffer) override {
    if (calls_.buffer && buffer.defined()) {
      calls_.buffer(joined(name), buffer);
    }
  }

 private:
  std::string joined(std::string_view name) const {
    return prefix_.empty() ? std::string(name) : prefix_ + "." + std::string(name);
  }

  const ModuleWalk& calls_;
  std::string prefix_;
};

// visit() only hands out references, so functions that do not write may use it on a const module.
void walk_const(const Module& root, const ModuleWalk& calls) { walk(const_cast<Module&>(root), calls); }

// What load_state_dict() may write to. A parameter without values has a shape but no dtype yet.
struct Target {
  Parameter* parameter = nullptr;
  Tensor* buffer = nullptr;
  const Shape& shape() const { return parameter != nullptr ? parameter->shape() : buffer->shape(); }
  bool floating() const { return parameter != nullptr || is_floating(buffer->dtype()); }
  void assign(Tensor values) const {
    if (parameter != nullptr) {
      parameter->assign(std::move(values));
    } else {
      buffer->copy_from(values);
    }
  }
};

std::map<std::string, Target> targets_of(Module& root) {
  std::map<std::string, Target> targets;
  const auto add = [&](const std::string& name, const Target& target) {
    ensure(targets.emplace(name, target).second, "module: two members are called '", name, "'");
  };
  walk(root, {.module = {},
              .parameter = [&](const std::string& name, Parameter& p) { add(name, {.parameter = &p}); },
              .buffer = [&](const std::string& name, Tensor& t) { add(name, {.buffer = &t}); }});
  return targets;
}

// "missing (2): a, b": a line of the strict loader's message.
void append_list(std::string& message, std::string_view title, const std::vector<std::string>& names) {
  if (names.empty()) {
    return;
  }
  message += fmt::format("\n  {} ({}): {}", title, names.size(), fmt::join(names, ", "));
}

std::string class_name(const Module& module) {
  const std::unique_ptr<char, decltype(&std::free)> demangled(
      abi::__cxa_demangle(typeid(module).name(), nullptr, nullptr, nullptr), std::free);
  const std::string name = demangled ? demangled.get() : typeid(module).name();
  const size_t colon = name.rfind(':');
  return colon == std::string::npos ? name : name.substr(colon + 1);
}

// 35746307 -> "35,746,307".
std::string grouped(int64_t n) {
  const std::string digits = std::to_string(n);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) {
      text.push_back(',');
    }
    text.push_back(digits[i]);
  }
  return text;
}

// Lists a module's own members as "weight (64, 3, 3, 3)"; nothing of its sub-modules.
class OwnMembers : public Visitor {
 public:
  std::string text;

 protected:
  void on_module(std::string_view, Module&) override {}
  void on_parameter(std::string_view name, Parameter& parameter) override {
    if (parameter.present()) {
      append(name, parameter.shape());
    }
  }
  void on_buffer(std::string_view name, Tensor& buffer) override {
    if (buffer.defined()) {
      append(name, buffer.shape());
      text += " buffer";
    }
  }

 private:
  void append(std::string_view name, const Shape& shape) {
    text += fmt::format("{}{} {}", text.empty() ? "  " : ", ", name, to_string(shape));
  }
};

// Prints the tree with an indent of two for each level. (A vector's items are children of its owner.)
class Printer : public Visitor {
 public:
  std::string text;

  void print(std::string_view name, Module& module) {
    OwnMembers own;
    module.visit(own);
    text += std::string(static_cast<size_t>(2 * depth_), ' ');
    text += name.empty() ? module.describe() : fmt::format("{}: {}", name, module.describe());
    if (depth_ == 0) {
      text += fmt::format("  {} parameters", grouped(module.num_parameters()));
    }
    text += own.text + "\n";
    ++depth_;
    module.visit(*this);
    --depth_;
  }

 protected:
  void on_module(std::string_view name, Module& module) override { print(name, module); }
  void on_parameter(std::string_view, Parameter&) override {}
  void on_buffer(std::string_view, Tensor&) override {}

 private:
  int depth_ = 0;
};

}  // namespace

std::string Module::describe() const { return class_name(*this); }

std::vector<NamedParameter> Module::named_parameters() const {
  std::vector<NamedParameter> all;
  walk_const(*this, {.module = {},
                     .parameter =
                         [&](const std::string& name, Parameter& parameter) {
                           check(parameter.has_values(), "parameter '", name,
                                 "': has no values yet; call initialize(module, seed) or load_state_dict() first");
                           all.push_back({name, parameter.handle()});
                         },
                     .buffer = {}});
  return all;
}

std::vector<Variable> Module::parameters() const {
  std::vector<Variable> all;
  for (const NamedParameter& parameter : named_parameters()) {
    all.push_back(parameter.variable);
  }
  return all;
}

int64_t Module::num_parameters() const {
  int64_t count = 0;
  walk_const(
      *this,
      {.module = {}, .parameter = [&](const std::string&, Parameter& p) { count += p.shape().numel(); }, .buffer = {}});
  return count;
}

NamedTensors Module::state_dict() const {
  NamedTensors all;
  std::set<std::string> names;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    ensure(names.insert(name).second, "module: two members are called '", name, "'");
    all.emplace_back(name, tensor);
  };
  walk_const(*this, {.module = {},
                     .parameter = [&](const std::string& name, Parameter& p) { add(name, p.variable().tensor()); },
                     .buffer = [&](const std::string& name, Tensor& t) { add(name, t); }});
  return all;
}

// Where entry `index` of a state dict goes.
struct Module::Match {
  Target target;
  size_t index;
};

std::vector<Module::Match> Module::match_state_dict(std::span<const std::pair<std::string, Tensor>> tensors,
                                                    std::string_view source) {
  assign_paths(*this);
  std::map<std::string, Target> missing = targets_of(*this);
  std::vector<Match> matches;
  std::vector<std::string> unexpected, wrong;
  std::set<std::string> seen;
  for (size_t index = 0; index < tensors.size(); ++index) {
    const auto& [name, tensor] = tensors[index];
    check(seen.insert(name).second, source, ": has the name '", name, "' twice");
    const auto found = missing.find(name);
    if (found == missing.end()) {
      unexpected.push_back(name);
      continue;
    }
    const Target& target = found->second;
    if (tensor.shape() != target.shape()) {
      wrong.push_back(fmt::format("{} is {}, must be {}", name, to_string(tensor.shape()), to_string(target.shape())));
    } else if (is_floating(tensor.dtype()) != target.floating()) {
      wrong.push_back(fmt::format("{} is {}", name, to_string(tensor.dtype())));
    } else {
      matches.push_back({target, index});
    }
    missing.erase(found);
  }
  std::vector<std::string> missing_names;
  for (const auto& entry : missing) {
    missing_names.push_back(entry.first);
  }
  std::string complaints;
  append_list(complaints, "missing", missing_names);
  append_list(complaints, "unexpected", unexpected);
  append_list(complaints, "wrong shape or dtype", wrong);
  check(complaints.empty(), source, ": the tensors do not fit the ", describe(), complaints);
  return matches;
}

void Module::load_state_dict(std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source) {
  for (const Match& match : match_state_dict(tensors, source)) {
    match.target.assign(tensors[match.index].second);
  }
}

void Module::load_state_dict(NamedTensors&& tensors, std::string_view source) {
  for (const Match& match : match_state_dict(tensors, source)) {
    match.target.assign(std::move(tensors[match.index].second));
  }
}

void Module::train(bool on) {
  assign_paths(*this);
  walk(*this,
       {.module = [&](const std::string&, Module& module) { module.training_ = on; }, .parameter = {}, .buffer = {}});
}

const std::string& Module::path() const {
  check(path_.has_value(), describe(),
        ": does not know its path yet, and its random draws are keyed by it; call initialize(root, seed), "
        "load_state_dict(), train() or eval() on the network that it is part of");
  return *path_;
}

void Module::to(DType dtype) {
  walk(*this, {.module = {},
               .parameter = [&](const std::string&, Parameter& parameter) { parameter.convert(dtype); },
               .buffer =
                   [&](const std::string&, Tensor& buffer) {
                     if (is_floating(buffer.dtype())) {
                       buffer = buffer.to(dtype);
                     }
                   }});
}

void Module::zero_grad() {
  for (NamedParameter& parameter : named_parameters()) {
    parameter.variable.zero_grad();
  }
}

void assign_paths(Module& root) {
  const std::string start = root.path_.value_or("");
  walk(root, {.module =
                  [&](const std::string& name, Module& module) {
                    module.path_ = start.empty() || name.empty() ? start + name : start + "." + name;
                  },
              .parameter = {},
              .buffer = {}});
}

void walk(Module& root, const ModuleWalk& calls) { Walker(calls).enter(root); }

std::string to_string(const Module& module) {
  Printer printer;
  printer.print("", const_cast<Module&>(module));
  return printer.text;
}

}  // namespace sfumato
