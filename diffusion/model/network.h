// The networks that diffusion can train, save and sample, behind one interface.
//
//   std::unique_ptr<DenoisingNetwork> net = network_kind("UNet2DModel").from_json(text, "unet/config.json");
//   Variable output = (*net)(x_t, t);                // x_t (N, net->sample_shape()...), t (N) in 0..T-1
//   Variable of_class = (*net)(x_t, t, labels);      // labels (N) in 0..net->num_classes() - 1
//
// The training loop, model folders, samplers and the command line know only this interface. Adding a network: derive
// from DenoisingNetwork, add its kind to the table in network.cpp, and its keys to TrainConfig::make_network();
// docs/models.md goes through it with an example.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "nn/module.h"

namespace sfumato {

class DenoisingNetwork : public Module {
 public:
  // The prediction for noisy samples x (N, sample shape...) at times t (N): noise, x_0 or v, as the schedule's
  // prediction type says. A network with classes needs `labels`, i64 (N); another takes none. Throws when a shape or a
  // label does not fit.
  Variable operator()(const Variable& x, const Tensor& t, const Tensor& labels = {}) const;
  // Of one sample: (C, H, W) for images, (D) for points.
  virtual Shape sample_shape() const = 0;
  // Labels are 0..num_classes() - 1, and one of them may stand for "no class"; 0: the network takes none.
  virtual int64_t num_classes() const { return 0; }
  // Its NetworkKind's name, and what its config.json says (the class name included).
  virtual std::string class_name() const = 0;
  virtual std::string config_json() const = 0;

 protected:
  // What the operator promises; t and labels have been checked.
  virtual Variable forward(const Variable& x, const Tensor& t, const Tensor& labels) const = 0;
  // Throws unless the labels of `batch` samples fit; the default knows classes by their number alone.
  virtual void check_labels(const Tensor& labels, int64_t batch) const;
};

// How a kind of network appears in a model folder.
struct NetworkKind {
  std::string_view class_name;  // `_class_name` in config.json
  std::string_view owner;       // whose class that is: "diffusers" or "sfumato"
  std::string_view folder;      // where config.json and the weights are: "unet"
  // Throws Error naming `source` for a configuration that cannot be built. Parameters have no values yet.
  std::unique_ptr<DenoisingNetwork> (*from_json)(std::string_view text, std::string_view source);
};

std::span<const NetworkKind> network_kinds();
// Throws Error naming those that exist.
const NetworkKind& network_kind(std::string_view class_name);

// Builds what a config.json describes; without a `_class_name` it is a UNet2DModel. Throws Error.
std::unique_ptr<DenoisingNetwork> network_from_json(std::string_view text, std::string_view source);

}  // namespace sfumato
