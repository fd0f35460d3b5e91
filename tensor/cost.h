// What ops cost, told to whoever listens: the arithmetic and the memory traffic of every op that runs.
//
//   CostTotal total;
//   { const CostScope scope([&](const OpCost& cost) { total.add(cost); });  net(x, t); }
//   total.flops;                       // multiply-adds count two
//
// With DryRunScope the ops check their shapes and take their memory but compute nothing, so that the cost and the peak
// memory of a program can be had in milliseconds on memory that is never touched:
//
//   const DryRunScope dry;
//   trainer.step(x0);                  // allocator_stats().peak_bytes is what the real step would reach
//
// Both act on the calling thread alone.
#pragma once

#include <functional>
#include <initializer_list>

#include "tensor/tensor.h"

namespace sfumato {

struct OpCost {
  const char* op;      // "conv2d_backward_weight"
  const char* kernel;  // where an op has several: "winograd", "direct", "pointwise"; else ""
  double flops;  // of the plain algorithm, whatever the kernel does; multiply-adds count two, elementwise ops none
  double bytes;  // read and written when each operand moves once
};

using CostListener = std::function<void(const OpCost&)>;

// Calls the listener for every op of this thread while it lives; an outer scope's listener waits meanwhile.
class CostScope {
 public:
  explicit CostScope(CostListener listener);
  ~CostScope();
  CostScope(const CostScope&) = delete;
  CostScope& operator=(const CostScope&) = delete;

 private:
  CostListener listener_;
  const CostListener* previous_;
};

class DryRunScope {
 public:
  DryRunScope();
  ~DryRunScope();
  DryRunScope(const DryRunScope&) = delete;
  DryRunScope& operator=(const DryRunScope&) = delete;

 private:
  bool previous_;
};

// For ops ------------------------------------------------------------------------------------------------------------

namespace detail {
inline thread_local constinit const CostListener* cost_listener = nullptr;
void tell_cost(const char* op, const char* kernel, std::initializer_list<const Tensor*> operands, double flops);
}  // namespace detail

// Reports an op that moves `operands` once. Costs one load when nobody listens.
inline void report_cost(const char* op,
                        std::initializer_list<const Tensor*> operands,
                        double flops = 0,
                        const char* kernel = "") {
  if (detail::cost_listener != nullptr) {
    detail::tell_cost(op, kernel, operands, flops);
  }
}

}  // namespace sfumato
