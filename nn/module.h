// Module: a part of a network. It lists its members once, in visit(); names, parameters, state dict, train/eval,
// printing and counting all derive from that list.
//
//   struct Mlp : Module {
//     Linear in{2, 64}, out{64, 2};
//     Dropout drop{0.1};
//     void visit(Visitor& v) override { v("in", in)("drop", drop)("out", out); }
//     Variable operator()(const Variable& x) const { return out(drop(silu(in(x)))); }
//   };
//   Mlp net;
//   initialize(net, /*seed=*/42);                    // "nn/init.h"
//   net.parameters();                                // in.weight, in.bias, out.weight, out.bias
//
// A member is a sub-module, a Parameter, a Tensor (a buffer: saved, not trained), or a vector, optional or unique_ptr
// of those. Names are joined by dots and vectors count from 0, as in PyTorch: "down_blocks.0.resnets.1.conv1.weight".
//
// Nothing is registered: visit() runs when it is needed, so modules may be moved freely. They are never copied.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "nn/parameter.h"
#include "tensor/io/safetensors.h"

namespace sfumato {

class Module;

// A list of modules whose names are their indices, as PyTorch's.
template <class T>
using ModuleList = std::vector<T>;

// What a module's visit() is called with.
class Visitor {
 public:
  virtual ~Visitor() = default;

  template <class T>
  Visitor& operator()(std::string_view name, T& member) {
    if constexpr (std::is_base_of_v<Module, T>) {
      on_module(name, member);
    } else if constexpr (std::is_same_v<T, Parameter>) {
      on_parameter(name, member);
    } else if constexpr (std::is_same_v<T, Tensor>) {
      on_buffer(name, member);
    } else if constexpr (requires {
                           *member;
                           static_cast<bool>(member);
                         }) {
      if (member) {
        (*this)(name, *member);
      }
    } else {
      int64_t index = 0;
      for (auto& item : member) {
        (*this)(std::string(name) + "." + std::to_string(index++), item);
      }
    }
    return *this;
  }

 protected:
  virtual void on_module(std::string_view name, Module& module) = 0;
  virtual void on_parameter(std::string_view name, Parameter& parameter) = 0;
  virtual void on_buffer(std::string_view name, Tensor& buffer) = 0;
};

// A parameter with its dotted name; the Variable is a handle to the parameter itself.
struct NamedParameter {
  std::string name;
  Variable variable;
};

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(Module&&) noexcept = default;
  Module& operator=(Module&&) noexcept = default;

  // Names every member, in the order in which they are to be listed. The default has none.
  virtual void visit(Visitor&) {}
  // What kind of module this is, with its options: "Conv2d(stride=2, padding=1)". The default is the class's name.
  virtual std::string describe() const;

  // In visit() order, absent ones left out. Throw when a parameter has no values yet.
  std::vector<Variable> parameters() const;
  std::vector<NamedParameter> named_parameters() const;
  // The number of trainable values; needs none of them to be there.
  int64_t num_parameters() const;

  // Parameters and buffers by name; the tensors share memory with the module.
  NamedTensors state_dict() const;
  // Copies `tensors` into the module, converting between floating dtypes. Strict: one Error lists every missing,
  // unexpected and wrongly shaped name, and then nothing has been changed. `source` says in it where they came from.
  void load_state_dict(std::span<const std::pair<std::string, Tensor>> tensors,
                       std::string_view source = "load_state_dict");
  // The same; parameters without values take over the memory of tensors that nobody else holds.
  void load_state_dict(NamedTensors&& tensors, std::string_view source = "load_state_dict");

  // Training mode (the default) or evaluation mode, here and in all sub-modules: dropout acts only in the former.
  void train(bool on = true);
  void eval() { train(false); }
  bool is_training() const { return training_; }

  // The module's dotted name below the root, "" for the root itself. Throws before names have been assigned, which
  // initialize(), load_state_dict(), train() and eval() on the root do. Random draws are keyed by it.
  const std::string& path() const;
  bool has_path() const { return path_.has_value(); }

  // Converts every parameter and floating buffer: f64 for gradcheck.
  void to(DType dtype);
  void zero_grad();

 private:
  friend void assign_paths(Module& root);
  struct Match;
  std::vector<Match> match_state_dict(std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source);
  std::optional<std::string> path_;
  bool training_ = true;
};

// Marks the module at work while it lives, so that ops which run meanwhile can be put down to it ("tensor/cost.h").
// Layers open one when they are called; other modules do so at the beginning of their operator().
class ModuleScope {
 public:
  explicit ModuleScope(const Module& module) : previous_(std::exchange(current_, &module)) {}
  ~ModuleScope() { current_ = previous_; }
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;

  // The innermost one on this thread, or null.
  static const Module* current() { return current_; }

 private:
  static inline thread_local constinit const Module* current_ = nullptr;
  const Module* previous_;
};

// Gives every module below `root` its path, beginning with root's own when it has one already (else it is ""). Call it
// again after adding modules.
void assign_paths(Module& root);

// Calls for every module (root first, parents before children), parameter and buffer below `root`, with dotted names.
// Empty functions are skipped.
struct ModuleWalk {
  std::function<void(const std::string& name, Module& module)> module;
  std::function<void(const std::string& name, Parameter& parameter)> parameter;
  std::function<void(const std::string& name, Tensor& buffer)> buffer;
};
void walk(Module& root, const ModuleWalk& calls);

// The tree, a line for each module with its parameters' shapes.
std::string to_string(const Module& module);

}  // namespace sfumato
