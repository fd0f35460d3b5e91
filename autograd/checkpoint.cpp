#include "autograd/checkpoint.h"

#include <memory>
#include <vector>

#include "autograd/autocast.h"
#include "autograd/record.h"
#include "tensor/backend/backend.h"
#include "tensor/random.h"

namespace sfumato {
namespace {

// What a run of f depends on besides its arguments, all of it per thread.
struct Surroundings {
  RandomState random = RandomScope::current();
  AutocastState autocast = current_autocast();
  Backend backend = sfumato::backend();
};

// The producer of an input of the second run, where the first one had a recorded variable: the graph ends there.
class StandIn final : public Node {
 public:
  explicit StandIn(const Tensor& tensor) : Node("checkpoint") { note_output(tensor); }
  int input_count() const override { return 0; }
  void apply(const Variable& /*gradient*/, Variable* /*results*/) const override {}
  void collect_edges(Edge** /*out*/) override {}
  void release_rules() override {}
};

// An input of f, without the graph behind it.
class Input {
 public:
  explicit Input(const Variable& variable)
      : variable_(variable.is_leaf() ? variable : Variable(variable.tensor())),
        recorded_(variable.requires_grad() && !variable.is_leaf()),
        version_(variable.tensor().version()) {}

  Variable again() const {
    const Tensor tensor = variable_.tensor();
    check(tensor.version() == version_, "checkpoint: an input of shape ", tensor.shape(),
          " has been modified in place since (version ", tensor.version(), ", given at ", version_, ")");
    return recorded_ ? Variable(tensor, Ref<StandIn>::adopt(new StandIn(tensor))) : variable_;
  }

 private:
  Variable variable_;
  bool recorded_;
  uint64_t version_;
};

// One call of checkpoint(): how to run f again, and what that run saved, by the number of the saving.
class Frame : public std::enable_shared_from_this<Frame> {
 public:
  Frame(const CheckpointedFunction& f, std::span<const Variable> inputs)
      : f_(f), inputs_(inputs.begin(), inputs.end()) {}

  Variable first_run(std::span<const Variable> inputs) {
    const SavedTensorHooks leave_out(
        [frame = shared_from_this()](const Tensor&, size_t number) {
          frame->saved_count_ = number + 1;
          return Tensor();
        },
        [frame = shared_from_this()](const Tensor&, size_t number) { return frame->take(number); });
    return run(inputs);
  }

 private:
  // The tensor that was saved as number `number`. It is handed over: whoever reads it keeps it as long as it is needed,
  // and asking twice (the graph was retained) runs f once more.
  Tensor take(size_t number) {
    if (saved_.empty() || !saved_[number].defined()) {
      second_run();
    }
    return std::exchange(saved_[number], Tensor());
  }

  void second_run() {
    std::vector<Variable> inputs;
    for (const Input& input : inputs_) {
      inputs.push_back(input.again());
    }
    std::vector<Tensor> saved;
    saved.reserve(saved_count_);
    {
      const SavedTensorHooks collect(
          [&saved](const Tensor& tensor, size_t) {
            saved.push_back(tensor);
            return Tensor();
          },
          [](const Tensor& none, size_t) { return none; });
      run(inputs);
    }
    check(saved.size() == saved_count_, "checkpoint: the function saved ", saved_count_,
          " tensors when it was first run, and ", saved.size(), " when it was run again");
    saved_ = std::move(saved);
  }

  Variable run(std::span<const Variable> inputs) const {
    const RandomScope random(surroundings_.random);
    const AutocastGuard autocast(surroundings_.autocast);
    const detail::CastScope casts;  // the second run finds no casts made outside, so the first must not either
    const BackendScope backend(surroundings_.backend);
    const GradModeGuard record(true);
    Variable out = f_(inputs);
    check(out.defined(), "checkpoint: the function returned an undefined variable");
    return out;
  }

  CheckpointedFunction f_;
  std::vector<Input> inputs_;
  Surroundings surroundings_;
  size_t saved_count_ = 0;
  std::vector<Tensor> saved_;  // empty until f has been run again
};

}  // namespace

Variable checkpoint(const CheckpointedFunction& f, std::span<const Variable> inputs) {
  if (!grad_enabled()) {
    return f(inputs);
  }
  const Variable out = std::make_shared<Frame>(f, inputs)->first_run(inputs);
  // A gate: nothing behind it could be differentiated twice, for what f saved is not kept.
  return record("checkpoint", out.tensor(), wrt(out, [](const Variable& g) {
                  check(!grad_enabled(),
                        "checkpoint: the backward pass of a checkpoint cannot be differentiated (create_graph)");
                  return g;
                }));
}

Variable checkpoint(const CheckpointedFunction& f, std::initializer_list<Variable> inputs) {
  return checkpoint(f, std::span<const Variable>(inputs.begin(), inputs.size()));
}

}  // namespace sfumato
