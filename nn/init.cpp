#include "nn/init.h"

#include "tensor/ops/elementwise.h"
#include "tensor/random.h"

namespace sfumato {

Tensor initial_values(const InitRule& rule, const Shape& shape, uint64_t seed, std::string_view path) {
  const RandomScope scope({.seed = seed});
  const RandomStream stream = RandomStream::of("init", path);
  switch (rule.kind) {
    case InitRule::Kind::zeros: return zeros(shape);
    case InitRule::Kind::ones: return ones(shape);
    case InitRule::Kind::uniform: return affine(rand(shape, stream), 2 * rule.scale, -rule.scale);
    case InitRule::Kind::normal: return mul(randn(shape, stream), rule.scale);
  }
  detail::fail_internal("initialize: unknown rule");
}

void initialize(Module& root, uint64_t seed) {
  assign_paths(root);
  const std::string& start = root.path();
  walk(root, {.module = {},
              .parameter =
                  [&](const std::string& name, Parameter& parameter) {
                    const std::string path = start.empty() ? name : start + "." + name;
                    parameter.assign(initial_values(parameter.init_rule(), parameter.shape(), seed, path));
                  },
              .buffer = {}});
}

}  // namespace sfumato
