// record(): how an op puts itself on the tape. One rule per input says how that input's gradient follows from the
// output's; rules are written in Variable ops, so that higher derivatives come for free.
//
//   Variable mul(const Variable& a, const Variable& b) {
//     return record("mul", mul(a.tensor(), b.tensor()),
//                   wrt(a, [b = save(b)](const Variable& g) { return mul(g, b()); }),
//                   wrt(b, [a = save(a)](const Variable& g) { return mul(g, a()); }));
//   }
//
// * A rule may take a second argument, the op's output: [](const Variable& g, const Variable& y) {...}. The node then
//   keeps the output's tensor, never the output Variable, so it does not own itself.
// * A rule of an input that needs no gradient is dropped at once, with all that it saved.
// * Gradients of broadcast inputs: the engine sums what a rule returns down to the input's shape.
// * A rule may return an undefined Variable for "zero".
// * wrt_joint({x, w, b}, rule) serves families that share work: rule(g, needed[, y]) returns std::array<Variable, 3>;
//   entries that are not needed are ignored. Undefined Variables among the inputs are allowed and never needed.
// * A fused backward kernel may run only when grad_enabled() is false inside the rule (create_graph was not asked for);
//   otherwise the rule composes plain ops.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "autograd/anomaly.h"
#include "autograd/node.h"
#include "autograd/saved_hooks.h"
#include "autograd/variable.h"

namespace sfumato {

// A tensor kept for the backward pass; reading it throws when it has been modified in place since.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Variable& variable)
      : variable_(variable), version_(variable.defined() ? variable.tensor().version() : 0) {
    if (detail::saved_hooks != nullptr) [[unlikely]] {
      pack();
    }
  }
  // Throws naming the versions when the storage was written after save().
  const Variable& operator()() const {
    if (packed_) [[unlikely]] {
      return unpacked();
    }
    if (variable_.defined()) {
      check(variable_.tensor().version() == version_, "backward: a tensor of shape ", variable_.shape(),
            " that an op saved has been modified in place since (version ", variable_.tensor().version(), ", saved at ",
            version_, ")");
    }
    return variable_;
  }

 private:
  void pack();
  const Variable& unpacked() const;

  mutable Variable variable_;
  uint64_t version_ = 0;
  Ref<detail::PackedTensor> packed_;  // under SavedTensorHooks; then variable_ is empty until it is read
  Ref<Node> producer_;                // of what was packed
};

inline Saved save(const Variable& variable) { return Saved(variable); }

namespace detail {

// An input of a node: where its gradient goes, and the shape it must have there.
Edge edge_to(const Variable& input);
inline bool needs_gradient(const Variable& input) { return grad_enabled() && input.requires_grad(); }

template <class Rule>
Variable call_rule(const Rule& rule, const Variable& gradient, const Node& node) {
  if constexpr (std::is_invocable_v<const Rule&, const Variable&, const Variable&>) {
    return rule(gradient, node.output());
  } else {
    return rule(gradient);
  }
}

template <class Rule>
inline constexpr bool takes_output = std::is_invocable_v<const Rule&, const Variable&, const Variable&>;

}  // namespace detail

template <class Rule>
struct Wrt {
  static constexpr int kInputs = 1;
  static constexpr bool kTakesOutput = detail::takes_output<Rule>;
  Edge edge;
  std::optional<Rule> rule;

  bool needed() const { return rule.has_value(); }
  Edge* edges() { return &edge; }
  void apply(const Variable& gradient, const Node& node, Variable* results) const {
    if (rule) {
      results[0] = detail::call_rule(*rule, gradient, node);
    }
  }
  void release() { rule.reset(); }
};

template <size_t N, class Rule>
struct WrtJoint {
  using Needed = std::array<bool, N>;
  static constexpr int kInputs = static_cast<int>(N);
  static constexpr bool kTakesOutput =
      std::is_invocable_v<const Rule&, const Variable&, const Needed&, const Variable&>;
  std::array<Edge, N> edge;
  std::optional<Rule> rule;

  bool needed() const { return rule.has_value(); }
  Edge* edges() { return edge.data(); }
  void apply(const Variable& gradient, const Node& node, Variable* results) const {
    if (!rule) {
      return;
    }
    Needed needed;
    for (size_t i = 0; i < N; ++i) {
      needed[i] = edge[i].defined();
    }
    std::array<Variable, N> gradients;
    if constexpr (kTakesOutput) {
      gradients = (*rule)(gradient, needed, node.output());
    } else {
      gradients = (*rule)(gradient, needed);
    }
    for (size_t i = 0; i < N; ++i) {
      if (needed[i]) {
        results[i] = std::move(gradients[i]);
      }
    }
  }
  void release() { rule.reset(); }
};

template <class Rule>
Wrt<std::decay_t<Rule>> wrt(const Variable& input, Rule&& rule) {
  if (!input.defined() || !detail::needs_gradient(input)) {
    return {};
  }
  return {detail::edge_to(input), std::forward<Rule>(rule)};
}

template <size_t N, class Rule>
WrtJoint<N, std::decay_t<Rule>> wrt_joint(const Variable (&inputs)[N], Rule&& rule) {
  WrtJoint<N, std::decay_t<Rule>> joint;
  bool any = false;
  for (size_t i = 0; i < N; ++i) {
    if (inputs[i].defined() && detail::needs_gradient(inputs[i])) {
      joint.edge[i] = detail::edge_to(inputs[i]);
      any = true;
    }
  }
  if (any) {
    joint.rule.emplace(std::forward<Rule>(rule));
  }
  return joint;
}

namespace detail {

// A node with its rules inside it: one allocation per recorded op.
template <class... Terms>
class NodeOf final : public Node {
 public:
  NodeOf(const char* name, Terms&&... terms) : Node(name), terms_(std::move(terms)...) {}

  int input_count() const override { return (Terms::kInputs + ... + 0); }
  void apply(const Variable& gradient, Variable* results) const override {
    int at = 0;
    std::apply([&](const Terms&... term) { ((term.apply(gradient, *this, results + at), at += Terms::kInputs), ...); },
               terms_);
  }
  void collect_edges(Edge** out) override {
    int at = 0;
    std::apply(
        [&](Terms&... term) {
          ((
               [&] {
                 for (int i = 0; i < Terms::kInputs; ++i) {
                   out[at + i] = term.edges() + i;
                 }
               }(),
               at += Terms::kInputs),
           ...);
        },
        terms_);
  }
  void release_rules() override {
    std::apply([](Terms&... term) { (term.release(), ...); }, terms_);
  }

 private:
  std::tuple<Terms...> terms_;
};

}  // namespace detail

// Wraps `out` in a Variable; when a term is needed, with a node that holds the rules.
template <class... Terms>
Variable record(const char* name, Tensor out, Terms&&... terms) {
  if (detail::anomaly_mode) [[unlikely]] {
    detail::check_forward(name, out);
  }
  if (!(terms.needed() || ...)) {
    return Variable(std::move(out));
  }
  constexpr bool keeps_output = (std::decay_t<Terms>::kTakesOutput || ...);
  using ThisNode = detail::NodeOf<std::decay_t<Terms>...>;
  auto node = Ref<ThisNode>::adopt(new ThisNode(name, std::move(terms)...));
  if constexpr (keeps_output) {
    node->keep_output(out);
  } else {
    node->note_output(out);
  }
  return Variable(std::move(out), std::move(node));
}

// For ops on lists (cat, stack): one rule per input, made by make_rule(i), of a common type.
Variable record_list(const char* name,
                     Tensor out,
                     std::span<const Variable> inputs,
                     const std::function<std::function<Variable(const Variable&)>(size_t)>& make_rule);

}  // namespace sfumato
