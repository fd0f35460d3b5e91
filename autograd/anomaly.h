// Anomaly detection: which op made the first NaN or infinity?
//
//   const AnomalyGuard guard;
//   loss(x).backward();        // throws AnomalyError: "... the gradient of 'log' for input 0 ... (sub <- log <- mean)"
//
// While a guard lives, the result of every op that its thread runs on Variables is looked at, and in the backward pass
// every gradient that a rule returns. That reads each tensor once more; without a guard it costs a load per op.
#pragma once

#include <stdexcept>
#include <string>

#include "tensor/tensor.h"

namespace sfumato {

class Node;

// A value that is not finite; op() is the name of the op that made it.
class AnomalyError : public std::runtime_error {
 public:
  AnomalyError(std::string op, const std::string& message) : std::runtime_error(message), op_(std::move(op)) {}
  const std::string& op() const { return op_; }

 private:
  std::string op_;
};

namespace detail {
inline thread_local constinit bool anomaly_mode = false;

// Throw AnomalyError when a floating tensor has an element that is not finite.
void check_forward(const char* op, const Tensor& out);
void check_backward(Node& node, size_t input, const Tensor& gradient);
}  // namespace detail

// Looks for anomalies in this thread while it lives.
class AnomalyGuard {
 public:
  explicit AnomalyGuard(bool on = true) : previous_(detail::anomaly_mode) { detail::anomaly_mode = on; }
  ~AnomalyGuard() { detail::anomaly_mode = previous_; }
  AnomalyGuard(const AnomalyGuard&) = delete;
  AnomalyGuard& operator=(const AnomalyGuard&) = delete;

 private:
  bool previous_;
};

}  // namespace sfumato
