// Replays optim.json/.safetensors through the optimisers as training uses them: `<id>/p0` is the start, `<id>/grads`
// stacks one gradient for each step, `<id>/params` the parameters after each step.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "nn/module.h"
#include "nn/optim/optimizer.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops/view.h"
#include "tests/golden_runner/runner.h"

namespace sfumato::golden {
namespace {

using Json = nlohmann::json;

// Relative to the largest entry of a step. The arithmetic is f32 on both sides, so a few roundings may differ by step.
constexpr double kRelativeTolerance = 2e-6;

struct OneParameter : Module {
  Parameter p;
  explicit OneParameter(const Tensor& start) : p(start.shape(), InitRule::zeros()) { p.assign(start); }
  void visit(Visitor& v) override { v("p", p); }
};

// The optimiser that PyTorch builds for these arguments; null for an op or an argument that does not exist here.
std::unique_ptr<Optimizer> make(const std::string& op, const Json& args, FlatParameters& parameters) {
  static const std::vector<std::string> kSgd{"lr", "momentum", "nesterov", "weight_decay"};
  static const std::vector<std::string> kAdam{"lr", "beta1", "beta2", "eps", "weight_decay"};
  if (op != "sgd" && op != "adam" && op != "adamw") {
    return nullptr;
  }
  const auto& known = op == "sgd" ? kSgd : kAdam;
  for (const auto& item : args.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) {
      return nullptr;
    }
  }
  if (op == "sgd") {
    const SgdOptions defaults;
    return std::make_unique<Sgd>(parameters,
                                 SgdOptions{.lr = args.value("lr", defaults.lr),
                                            .momentum = args.value("momentum", defaults.momentum),
                                            .weight_decay = args.value("weight_decay", defaults.weight_decay),
                                            .nesterov = args.value("nesterov", defaults.nesterov)});
  }
  const AdamOptions defaults;
  return std::make_unique<Adam>(parameters,
                                AdamOptions{.lr = args.value("lr", defaults.lr),
                                            .beta1 = args.value("beta1", defaults.beta1),
                                            .beta2 = args.value("beta2", defaults.beta2),
                                            .eps = args.value("eps", defaults.eps),
                                            .weight_decay = args.value("weight_decay", op == "adamw" ? 0.01 : 0.0),
                                            .decoupled = op == "adamw"});
}

// Empty when both agree, else what differs.
std::string compare(const Tensor& got, const Tensor& wanted, int64_t step) {
  const std::vector<double> a = got.to_vector(), b = wanted.to_vector();
  double largest = 0, difference = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]));
    const double d = std::abs(a[i] - b[i]);
    difference = d > difference || std::isnan(d) ? d : difference;
  }
  if (difference <= kRelativeTolerance * largest) {
    return {};
  }
  return fmt::format("after step {}: differs by {:.3g} where the largest entry is {:.3g}", step, difference, largest);
}

CaseResult replay(const Json& description, const SafetensorsReader& file) {
  CaseResult result;
  result.name = "optim/" + description.at("id").get<std::string>();
  const std::string id = description.at("id");
  OneParameter module(file.read(id + "/p0"));
  FlatParameters flat(module);
  const auto optimizer = make(description.at("op"), description.value("args", Json::object()), flat);
  if (optimizer == nullptr) {
    result.status = CaseResult::pending;
    result.message = "no such optimiser or argument";
    return result;
  }
  const Tensor gradients = file.read(id + "/grads"), wanted = file.read(id + "/params");
  for (int64_t step = 0; step < gradients.size(0); ++step) {
    flat.zero_grad();
    module.p.handle().set_grad(select(gradients, 0, step));
    optimizer->step();
    result.message = compare(module.p->tensor(), select(wanted, 0, step), step + 1);
    if (!result.message.empty()) {
      return result;
    }
  }
  result.status = CaseResult::passed;
  return result;
}

}  // namespace

std::vector<CaseResult> replay_optim(const std::filesystem::path& folder) {
  std::vector<CaseResult> results;
  if (!std::filesystem::exists(folder / "optim.json") || !std::filesystem::exists(folder / "optim.safetensors")) {
    return results;
  }
  std::ifstream stream(folder / "optim.json");
  const SafetensorsReader file(folder / "optim.safetensors");
  const Json root = Json::parse(stream);
  for (const Json& description : root.at("cases")) {
    try {
      results.push_back(replay(description, file));
    } catch (const std::exception& error) {
      results.push_back({"optim/" + description.value("id", "?"), CaseResult::failed, error.what()});
    }
  }
  return results;
}

}  // namespace sfumato::golden
