#include "diffusion/model/cost.h"

#include <algorithm>
#include <unordered_map>

#include "autograd/grad_mode.h"
#include "nn/init.h"
#include "tensor/cost.h"

namespace sfumato {
namespace {

bool has_values(DenoisingNetwork& network) {
  bool all = true;
  ModuleWalk calls;
  calls.parameter = [&](const std::string&, Parameter& parameter) {
    all &= !parameter.present() || parameter.has_values();
  };
  walk(network, calls);
  return all;
}

struct Work {
  double flops = 0;
  double bytes = 0;
};

std::unordered_map<const Module*, Work> work_by_module(DenoisingNetwork& network, int64_t batch) {
  const DryRunScope dry;
  if (!has_values(network)) {
    initialize(network, /*seed=*/0);  // takes memory, but touches none of it
  }
  Shape shape = network.sample_shape();
  shape.insert(0, batch);
  std::unordered_map<const Module*, Work> work;
  const CostScope listening([&](const OpCost& cost) {
    const Module* module = ModuleScope::current();
    Work& own = work[module != nullptr ? module : &network];
    own.flops += cost.flops;
    own.bytes += cost.bytes;
  });
  const NoGradGuard no_grad;
  const Tensor labels = network.num_classes() > 0 ? Tensor::empty({batch}, DType::i64) : Tensor();
  network(Tensor::empty(shape), Tensor::empty({batch}), labels);
  return work;
}

}  // namespace

std::vector<ModuleCost> forward_cost(DenoisingNetwork& network, int64_t batch) {
  const auto work = work_by_module(network, batch);
  std::vector<ModuleCost> costs;
  std::vector<size_t> open;  // the modules that the walk is inside of
  ModuleWalk calls;
  calls.module = [&](const std::string& path, Module& module) {
    while (!open.empty() && !costs[open.back()].path.empty() && !path.starts_with(costs[open.back()].path + ".")) {
      open.pop_back();
    }
    const auto found = work.find(&module);
    const Work own = found != work.end() ? found->second : Work{};
    for (const size_t parent : open) {
      costs[parent].flops += own.flops;
      costs[parent].bytes += own.bytes;
      costs[parent].leaf = false;
    }
    costs.push_back({.path = path,
                     .description = module.describe(),
                     .depth = static_cast<int>(open.size()),
                     .parameters = module.num_parameters(),
                     .flops = own.flops,
                     .bytes = own.bytes});
    open.push_back(costs.size() - 1);
  };
  walk(network, calls);
  return costs;
}

}  // namespace sfumato
