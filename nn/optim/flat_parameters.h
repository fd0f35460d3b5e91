// FlatParameters: all parameters of a module in one contiguous f32 buffer, so that an optimiser's step, the gradients'
// norm, averaging and communication are each one pass over memory.
//
//   FlatParameters flat(net);                        // the parameters are now views of flat.values()
//   flat.zero_grad();                                // gradients will be accumulated into flat.gradients()
//   loss.backward();
//   adam.step(flat.gradients(), lr);
//
// Order: named_parameters(). Each parameter begins at a multiple of 16 elements (a cache line); the gaps are zero and
// stay zero. Any other buffer of this layout (a moment, an average, a gradient of the tree) is seen by name through
// views().
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/module.h"

namespace sfumato {

// The elements begin .. end - 1 of a flat buffer.
struct FlatRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};

class FlatParameters {
 public:
  struct Slot {
    std::string name;
    Shape shape;
    int64_t offset;  // in elements, a multiple of kAlignment
  };
  static constexpr int64_t kAlignment = 16;

  // Moves the module's parameters into one buffer. It keeps handles to them, not to the module, which may be moved.
  // Throws unless every parameter has values in f32.
  explicit FlatParameters(Module& module);

  // The buffer's length, gaps included, and the number of trainable values.
  int64_t size() const { return size_; }
  int64_t num_parameters() const { return num_parameters_; }
  const std::vector<Slot>& slots() const { return slots_; }

  Tensor& values() { return values_; }
  const Tensor& values() const { return values_; }
  // A buffer of this layout, filled with zeros.
  Tensor zeros() const { return sfumato::zeros({size_}); }
  // `flat` by parameter name: views of its memory.
  NamedTensors views(const Tensor& flat) const;
  // The reverse: copies tensors by name into `flat`. Throws, listing them, for names missing, unexpected or of a wrong
  // shape; `source` says in the message where they came from.
  void copy_into(Tensor& flat, std::span<const std::pair<std::string, Tensor>> tensors, std::string_view source) const;

  // Forgets the gradients; backward passes will accumulate the next ones into `buffer`.
  void begin_gradients(const Tensor& buffer);
  // The same with a buffer of its own, made at the first call.
  void zero_grad();
  // The buffer of the last begin_gradients() or zero_grad(). The slots of parameters that no backward pass has reached
  // since are set to zero by this call; ask for it when the backward passes are done.
  const Tensor& gradients();
  // Calls `ready` in every backward pass with the number of each slot whose gradient is in the buffer for good, until
  // the handles are removed.
  std::vector<HookHandle> on_gradient(const std::function<void(size_t slot)>& ready);

  // Makes the parameters views of `flat`, or of values() again; see EmaScope in "nn/optim/ema.h".
  void point_at(const Tensor& flat);
  void point_back() { point_at(values_); }

 private:
  Tensor view(const Tensor& flat, const Slot& slot) const;
  void check_layout(const Tensor& flat, std::string_view op) const;

  std::vector<Variable> parameters_;
  std::vector<Slot> slots_;
  int64_t size_ = 0;
  int64_t num_parameters_ = 0;
  Tensor values_;
  Tensor own_gradients_;
  Tensor gradients_;  // the buffer in use
};

}  // namespace sfumato
