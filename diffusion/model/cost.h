// What a network's forward pass costs, module by module, without computing it.
//
//   UNet net(config);                                     // needs no weights
//   std::vector<ModuleCost> tree = forward_cost(net);     // tree[0] is the whole network
//   tree[0].flops / 2;                                    // multiply-adds of one sample
//
// The network runs in a dry run ("tensor/cost.h"): every op reports itself, and is put down to the module at work.
#pragma once

#include <string>
#include <vector>

#include "diffusion/model/network.h"

namespace sfumato {

struct ModuleCost {
  std::string path;         // "down_blocks.0.resnets.1.conv1"; "" for the network itself
  std::string description;  // Module::describe()
  int depth = 0;            // of the path, in modules
  bool leaf = true;         // no modules below it
  int64_t parameters = 0;   // here and below
  double flops = 0;         // of one forward pass, here and below; multiply-adds count two
  double bytes = 0;         // memory traffic of the same, each operand moved once
};

// In the order of visit(): parents before children. `batch`: samples in the forward pass.
std::vector<ModuleCost> forward_cost(DenoisingNetwork& network, int64_t batch = 1);

}  // namespace sfumato
