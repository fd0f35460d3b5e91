#include "autograd/anomaly.h"

#include <vector>

#include "autograd/node.h"
#include "tensor/ops/compare.h"

namespace sfumato::detail {
namespace {

// The names of the ops that led to a node, along first inputs: "sub <- log <- mean".
std::string origin_of(Node& node) {
  constexpr int kMost = 8;
  std::string chain = node.name();
  Ref<Node> at(&node);
  for (int i = 1;; ++i) {
    std::vector<Edge*> edges(static_cast<size_t>(at->input_count()));
    at->collect_edges(edges.data());
    Ref<Node> next;
    for (const Edge* edge : edges) {
      next = next ? next : edge->node;
    }
    if (!next) {
      return chain;
    }
    if (i == kMost) {
      return chain + " <- ...";
    }
    chain += std::string(" <- ") + next->name();
    at = next;
  }
}

}  // namespace

void check_forward(const char* op, const Tensor& out) {
  if (out.defined() && !all_finite(out)) {
    throw AnomalyError(op, join_parts("anomaly: the result of '", op, "' of shape ", out.shape(),
                                      " has elements that are not finite"));
  }
}

void check_backward(Node& node, size_t input, const Tensor& gradient) {
  if (gradient.defined() && !all_finite(gradient)) {
    throw AnomalyError(node.name(),
                       join_parts("anomaly: the gradient of '", node.name(), "' for input ", input, " of shape ",
                                  gradient.shape(), " has elements that are not finite (", origin_of(node), ")"));
  }
}

}  // namespace sfumato::detail
