#include "autograd/variable.h"

#include <atomic>
#include <utility>

#include "autograd/engine.h"
#include "autograd/record.h"

namespace sfumato {
namespace {

const Variable& undefined() {
  static const Variable none{};
  return none;
}

}  // namespace

Variable::Variable(Tensor value, bool requires_grad) {
  if (!value.defined()) {
    check(!requires_grad, "variable: an undefined tensor cannot require a gradient");
    return;
  }
  check(!requires_grad || is_floating(value.dtype()), "variable: only f32, f64 and bf16 tensors have gradients, got ",
        value.dtype());
  state_ = Ref<detail::VariableState>::adopt(new detail::VariableState(std::move(value)));
  state_->requires_grad = requires_grad;
}

Variable::Variable(Tensor value, Ref<Node> producer)
    : state_(Ref<detail::VariableState>::adopt(new detail::VariableState(std::move(value)))) {
  state_->requires_grad = true;
  state_->producer = std::move(producer);
}

Variable Variable::from_state(Ref<detail::VariableState> state) {
  Variable variable;
  variable.state_ = std::move(state);
  return variable;
}

const Variable& Variable::grad() const { return defined() ? state_->grad : undefined(); }

void Variable::set_grad(const Variable& gradient) {
  check(defined() && is_leaf(), "set_grad: only leaves keep a gradient");
  check(!gradient.defined() || gradient.shape() == shape(), "set_grad: the variable has shape ", shape(),
        " but the gradient ", gradient.shape());
  state_->grad = gradient;
}

void Variable::zero_grad() {
  if (defined()) {
    state_->grad = Variable();
  }
}

void Variable::set_tensor(const Tensor& value) {
  check(defined() && is_leaf(), "set_tensor: only a leaf's tensor can be replaced");
  check(value.dtype() == dtype(), "set_tensor: the variable is ", dtype(), " but the tensor ", value.dtype());
  state_->value = value;
}

void Variable::set_grad_buffer(const Tensor& buffer) {
  check(defined() && is_leaf(), "set_grad_buffer: only leaves keep a gradient");
  check(!buffer.defined() || (buffer.shape() == shape() && buffer.dtype() == dtype()),
        "set_grad_buffer: the variable is ", dtype(), " ", shape(), " but the buffer ", buffer.dtype(), " ",
        buffer.shape());
  state_->extras().grad_buffer = buffer;
  state_->grad = Variable();
}

Variable Variable::detach() const { return Variable(tensor()); }

void Variable::backward(const Variable& gradient, const BackwardOptions& options) const {
  check(requires_grad(), "backward: the variable does not require a gradient");
  run_backward(std::span(this, 1), gradient.defined() ? std::span(&gradient, 1) : std::span<const Variable>(), options);
}

namespace {

// Appends the hook to the list that `owner` keeps; the handle keeps the owner, so that it can be removed at any time.
template <class Owner, class Hook>
HookHandle append_hook(const Ref<Owner>& owner, detail::Hooks<Hook>& (*list)(Owner&), Hook hook) {
  static std::atomic<uint64_t> numbers{0};
  const uint64_t id = numbers.fetch_add(1, std::memory_order_relaxed);
  list(*owner).emplace_back(id, std::move(hook));
  return HookHandle(
      [owner, list, id] { std::erase_if(list(*owner), [id](const auto& one) { return one.first == id; }); });
}

}  // namespace

HookHandle Variable::register_hook(GradientHook hook) {
  check(requires_grad(), "register_hook: the variable does not require a gradient");
  if (is_leaf()) {
    return append_hook<detail::VariableState, GradientHook>(
        state_, [](detail::VariableState & leaf) -> auto& { return leaf.extras().hooks; }, std::move(hook));
  }
  return append_hook<Node, GradientHook>(
      state_->producer, [](Node & node) -> auto& { return node.hooks(); }, std::move(hook));
}

HookHandle Variable::register_post_accumulate_hook(PostAccumulateHook hook) {
  check(requires_grad() && is_leaf(), "register_post_accumulate_hook: only for leaves that require a gradient");
  return append_hook<detail::VariableState, PostAccumulateHook>(
      state_, [](detail::VariableState & leaf) -> auto& { return leaf.extras().post_accumulate_hooks; },
      std::move(hook));
}

std::vector<Variable> grad(std::span<const Variable> outputs,
                           std::span<const Variable> inputs,
                           std::span<const Variable> grad_outputs,
                           const BackwardOptions& options) {
  return run_grad(outputs, inputs, grad_outputs, options);
}

std::vector<Variable> grad(const Variable& output,
                           std::span<const Variable> inputs,
                           const Variable& grad_output,
                           const BackwardOptions& options) {
  return run_grad(std::span(&output, 1), inputs,
                  grad_output.defined() ? std::span(&grad_output, 1) : std::span<const Variable>(), options);
}

// ---- nodes ----

namespace {

std::atomic<uint64_t> node_counter{0};

}  // namespace

Node::Node(const char* name) : name_(name), order_(node_counter.fetch_add(1, std::memory_order_relaxed)) {}
Node::~Node() = default;

void Node::note_output(const Tensor& out) {
  output_shape_ = out.shape();
  output_dtype_ = out.dtype();
}

void Node::keep_output(const Tensor& out) {
  note_output(out);
  if (detail::saved_hooks != nullptr) [[unlikely]] {
    packed_output_ = Ref<detail::PackedTensor>::adopt(new detail::PackedTensor(out));
    return;
  }
  output_ = out;
  output_version_ = out.version();
}

Variable Node::output() const {
  if (packed_output_) [[unlikely]] {
    return Variable(packed_output_->unpack(), Ref<Node>(const_cast<Node*>(this)));
  }
  check(output_.version() == output_version_, "backward: the output of '", name_,
        "' has been modified in place since (version ", output_.version(), ", saved at ", output_version_, ")");
  return Variable(output_, Ref<Node>(const_cast<Node*>(this)));
}

void Node::release() {
  released_ = true;
  release_rules();
  output_ = Tensor();
  packed_output_ = nullptr;
}

void Node::destroy() noexcept {
  // Deleting a node drops its inputs' nodes; a long chain would recurse as deep as it is long. So the first deletion
  // drains a list, and those that it causes only add to it.
  static constinit thread_local Node* pending = nullptr;
  static constinit thread_local bool draining = false;
  next_deleted_ = std::exchange(pending, this);
  if (draining) {
    return;
  }
  draining = true;
  while (pending != nullptr) {
    Node* node = pending;
    pending = node->next_deleted_;
    delete node;
  }
  draining = false;
}

namespace detail {

VariableState::VariableState(Tensor&& of) : value(std::move(of)) {}
VariableState::~VariableState() = default;
void VariableState::destroy() noexcept { delete this; }

LeafExtras& VariableState::extras() {
  if (extras_or_null == nullptr) {
    extras_or_null = std::make_unique<LeafExtras>();
  }
  return *extras_or_null;
}

Edge edge_to(const Variable& input) {
  const auto& state = input.state();
  Edge edge;
  edge.shape = state->value.shape();
  if (state->producer) {
    edge.node = state->producer;
  } else {
    edge.leaf = state;
  }
  return edge;
}

namespace {

// The node of an op on a list: rules of one type, one per input.
class ListNode final : public Node {
 public:
  using Rule = std::function<Variable(const Variable&)>;
  explicit ListNode(const char* name) : Node(name) {}
  std::vector<Edge> edges;
  std::vector<Rule> rules;

  int input_count() const override { return static_cast<int>(edges.size()); }
  void apply(const Variable& gradient, Variable* results) const override {
    for (size_t i = 0; i < rules.size(); ++i) {
      if (rules[i]) {
        results[i] = rules[i](gradient);
      }
    }
  }
  void collect_edges(Edge** out) override {
    for (size_t i = 0; i < edges.size(); ++i) {
      out[i] = &edges[i];
    }
  }
  void release_rules() override { rules.assign(rules.size(), nullptr); }
};

}  // namespace
}  // namespace detail

Variable record_list(const char* name,
                     Tensor out,
                     std::span<const Variable> inputs,
                     const std::function<std::function<Variable(const Variable&)>(size_t)>& make_rule) {
  if (detail::anomaly_mode) [[unlikely]] {
    detail::check_forward(name, out);
  }
  Ref<detail::ListNode> node;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!detail::needs_gradient(inputs[i])) {
      continue;
    }
    if (node == nullptr) {
      node = Ref<detail::ListNode>::adopt(new detail::ListNode(name));
      node->edges.resize(inputs.size());
      node->rules.resize(inputs.size());
    }
    node->edges[i] = detail::edge_to(inputs[i]);
    node->rules[i] = make_rule(i);
  }
  if (node == nullptr) {
    return Variable(std::move(out));
  }
  node->note_output(out);
  return Variable(std::move(out), std::move(node));
}

}  // namespace sfumato
