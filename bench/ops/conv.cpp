// Convolutions at the U-Nets' shapes, from and to plain NCHW: the three passes, and all of them with autograd around.
// Where there are two algorithms each is measured, and so is the one that ConvAlgorithm::auto_ picks.
#include "tensor/ops/conv.h"

#include <utility>

#include "autograd/variable.h"
#include "bench/measure.h"
#include "bench/ops/shapes.h"
#include "bench/registry.h"
#include "tensor/random.h"

namespace sfumato::bench {
namespace {

class AlgorithmScope {
 public:
  explicit AlgorithmScope(ConvAlgorithm algorithm) : previous_(conv_algorithm()) { set_conv_algorithm(algorithm); }
  ~AlgorithmScope() { set_conv_algorithm(previous_); }
  AlgorithmScope(const AlgorithmScope&) = delete;
  AlgorithmScope& operator=(const AlgorithmScope&) = delete;

 private:
  ConvAlgorithm previous_;
};

using Pass = void (*)(benchmark::State&, const ConvShape&);

void forward(benchmark::State& state, const ConvShape& s) {
  const Tensor x = randn(s.x(), "x"), w = randn(s.weight(), "w");
  measure(state, [&] { return conv2d(x, w, {}, s.options()); });
}

void backward_input(benchmark::State& state, const ConvShape& s) {
  const Tensor dy = randn(s.y(), "dy"), w = randn(s.weight(), "w");
  measure(state, [&] { return conv2d_backward_input(dy, w, s.x(), s.options()); });
}

void backward_weight(benchmark::State& state, const ConvShape& s) {
  const Tensor x = randn(s.x(), "x"), dy = randn(s.y(), "dy");
  measure(state, [&] { return conv2d_backward_weight(x, dy, s.weight(), s.options()); });
}

void forward_backward(benchmark::State& state, const ConvShape& s) {
  Variable x(randn(s.x(), "x"), true), w(randn(s.weight(), "w"), true), b(randn({s.out}, "b"), true);
  const Tensor dy = randn(s.y(), "dy");
  measure(state, [&] {
    for (Variable* leaf : {&x, &w, &b}) {
      leaf->zero_grad();
    }
    conv2d(x, w, b, s.options()).backward(dy);
  });
}

void add_pass(const char* pass, Pass body, const ConvShape& shape, ConvAlgorithm algorithm, const char* suffix) {
  add_benchmark(fmt::format("conv/{}/{}{}", pass, shape.name(), suffix), benchmark::kMillisecond,
                [=](benchmark::State& state) {
                  const AlgorithmScope scope(algorithm);
                  body(state, shape);
                });
}

}  // namespace

void register_conv() {
  const std::pair<const char*, Pass> passes[] = {
      {"forward", forward}, {"backward_input", backward_input}, {"backward_weight", backward_weight}};
  for (const ConvShape& shape : conv_shapes()) {
    for (const auto& [name, body] : passes) {
      add_pass(name, body, shape, ConvAlgorithm::auto_, "");
      if (fast_backend_available() && shape.has_winograd()) {
        add_pass(name, body, shape, ConvAlgorithm::direct, "/direct");
        add_pass(name, body, shape, ConvAlgorithm::winograd, "/winograd");
      }
    }
    add_pass("forward_backward", forward_backward, shape, ConvAlgorithm::auto_, "");
  }
}

}  // namespace sfumato::bench
